/* SPDX-License-Identifier: Apache-2.0 */
/* Forged updates. Sources: ALIE (Baruch et al., NeurIPS 2019), IPM (Xie et al., UAI 2019), mimic
 * (Karimireddy et al., ICLR 2022), min-max and min-sum (Shejwalkar and Houmansadr, NDSS 2021). */
#include "coordinator/aggregate/attack.h"

#include "coordinator/aggregate/eigen.h"
#include "proto/base/cleanup.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTACK(METHOD, NAME, STRENGTH, ON_DATA, SUMMARY)                                           \
    [ATTACK_##METHOD] = {ATTACK_##METHOD, NAME, STRENGTH, ON_DATA, SUMMARY}

const struct attack_line ATTACK_GALLERY[ATTACK_METHODS] = {
    ATTACK(NONE, "none", 0, false, "an honest update"),
    ATTACK(SIGN_FLIP, "sign-flip", 1, false, "minus the honest mean"),
    ATTACK(SCALE, "scale", 9, false, "minus the honest mean, nine times"),
    ATTACK(GAUSSIAN, "gaussian", 10, false, "noise of ten honest deviations"),
    ATTACK(ALIE, "alie", 1.5, false, "a little is enough: mean less 1.5 deviations"),
    ATTACK(ALIE_NOISE, "alie-noise", 0.5, false, "half a deviation, as noisy as honest updates"),
    ATTACK(IPM, "ipm", 0.5, false, "inner product manipulation: minus half the mean"),
    ATTACK(IPM_NOISE, "ipm-noise", 0.5, false, "the same, as noisy as honest updates"),
    ATTACK(MIMIC, "mimic", 0, false, "a copy of the most unusual honest update"),
    ATTACK(MIN_MAX, "min-max", 0, false, "as far as the honest are apart"),
    ATTACK(MIN_SUM, "min-sum", 0, false, "as far as the honest are on average"),
    ATTACK(FREE_RIDER, "free-rider", 0, false, "zeros"),
    ATTACK(REPLAY, "replay", 0, false, "its own first update in every round"),
    ATTACK(STALE, "stale", 5, false, "its update of five rounds ago"),
    ATTACK(ONE_COORDINATE, "one-coordinate", 9, false,
           "one coordinate as large as the norm gate lets pass"),
    ATTACK(NAN, "nan", 0, false, "one value that is no number"),
    ATTACK(INFINITE, "infinite", 0, false, "one infinite value"),
    ATTACK(HUGE, "huge", 1e30, false, "values of 1e30"),
    ATTACK(SLOW_DRIFT, "slow-drift", 0.1, false,
           "its own update and a tenth of its norm in one direction"),
    ATTACK(INFLATED_WEIGHT, "inflated-weight", 1000, false,
           "declares a thousand times its patients, and scales"),
    ATTACK(LABEL_FLIP, "label-flip", 0, true, "trains on labels turned round"),
    ATTACK(BACKDOOR, "backdoor", 0, true, "trains a trigger into half of its patients"),
};

static struct result unknown(const char *text, size_t length, struct why *why)
{
    char names[WHY_BYTES / 2 + 128] = "";
    size_t used = 0;
    for (size_t k = 0; k < ATTACK_METHODS && used < sizeof names; k++) {
        int wrote = snprintf(names + used, sizeof names - used, "%s%s", k ? ", " : "",
                             ATTACK_GALLERY[k].name);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    return failed(why, RESULT_INPUT, "there is no attack '%.*s'; there are: %s",
                  length > 40 ? 40 : (int)length, text, names);
}

enum { NAME_BYTES = 32 };

/* In small letters, with hyphens for blanks and underscores; or by another name in use. */
static const struct attack_line *find(const char *text, size_t length)
{
    static const char *const ALSO[][2] = {{"scaled", "scale"},        {"foe", "ipm"},
                                          {"foe-noise", "ipm-noise"}, {"inf", "infinite"},
                                          {"1e30", "huge"},           {"drift", "slow-drift"}};
    char name[NAME_BYTES];
    for (size_t i = 0; i < length; i++)
        name[i] = text[i] == ' ' || text[i] == '_' ? '-' : (char)tolower((unsigned char)text[i]);
    name[length] = '\0';
    for (size_t i = 0; i < sizeof ALSO / sizeof *ALSO; i++)
        if (strcmp(name, ALSO[i][0]) == 0)
            snprintf(name, sizeof name, "%s", ALSO[i][1]);
    for (size_t k = 0; k < ATTACK_METHODS; k++)
        if (strcmp(ATTACK_GALLERY[k].name, name) == 0)
            return &ATTACK_GALLERY[k];
    return NULL;
}

struct result attack_parse(const char *text, struct attack_choice *choice, struct why *why)
{
    size_t length = strcspn(text, ":");
    const struct attack_line *line = length < NAME_BYTES ? find(text, length) : NULL;
    if (!line)
        return unknown(text, length, why);
    *choice = (struct attack_choice){line->method, line->strength};
    if (text[length] == '\0')
        return DONE;
    char *end = NULL;
    choice->strength = strtod(text + length + 1, &end);
    if (end == text + length + 1 || *end || !isfinite(choice->strength))
        return failed(why, RESULT_INPUT, "'%.40s' is not a strength", text + length + 1);
    return DONE;
}

double attack_weight_factor(const struct attack_choice *choice)
{
    return choice->method == ATTACK_INFLATED_WEIGHT ? choice->strength : 1.0;
}

bool attack_measures(const struct attack_choice *choice)
{
    return choice->method == ATTACK_ALIE || choice->method == ATTACK_MIN_MAX ||
           choice->method == ATTACK_MIN_SUM || choice->method == ATTACK_MIMIC;
}

/* Mean and standard deviation (n-1) of the honest rows, per coordinate. */
static void moments(const struct attack_view *v, double *mean, double *deviation)
{
    double h = (double)v->honest_count;
    for (size_t c = 0; c < v->d; c++) {
        double sum = 0.0;
        for (size_t i = 0; i < v->honest_count; i++)
            sum += (double)v->honest[i][c];
        mean[c] = sum / h;
        double square = 0.0;
        for (size_t i = 0; i < v->honest_count; i++) {
            double off = (double)v->honest[i][c] - mean[c];
            square += off * off;
        }
        deviation[c] = v->honest_count > 1 ? sqrt(square / (h - 1.0)) : 0.0;
    }
}

static double normal_quantile(double p)
{
    double low = -9.0;
    double high = 9.0;
    for (int step = 0; step < 100; step++) {
        double middle = (low + high) / 2.0;
        if (0.5 * erfc(-middle / sqrt(2.0)) < p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The z of ALIE: as far as the supporters that a majority still needs would reach by chance. */
static double alie_z(const struct attack_choice *choice, const struct attack_view *v)
{
    if (choice->strength > 0.0)
        return choice->strength;
    double majority = floor((double)v->n / 2.0 + 1.0);
    double p = ((double)v->n - majority) / (double)(v->n - v->f);
    return normal_quantile(fmin(fmax(p, 0.01), 0.99));
}

static double squared_distance(size_t d, const float *a, const float *b)
{
    double sum = 0.0;
    for (size_t c = 0; c < d; c++)
        sum += ((double)a[c] - (double)b[c]) * ((double)a[c] - (double)b[c]);
    return sum;
}

static double norm_of(size_t d, const float *x)
{
    double square = 0.0;
    for (size_t c = 0; c < d; c++)
        square += (double)x[c] * (double)x[c];
    return sqrt(square);
}

/* Whether mean - g deviation stays within the honest distances. */
static bool hidden(const struct attack_view *v, bool sums, double bound, double g,
                   const double *square, const double *inner, double own)
{
    double largest = 0.0;
    double total = 0.0;
    for (size_t i = 0; i < v->honest_count; i++) {
        double distance = square[i] - 2.0 * g * inner[i] + g * g * own;
        largest = fmax(largest, distance);
        total += distance;
    }
    return (sums ? total : largest) <= bound;
}

/* Largest g in [0, 5], to 0.01, for which mean - g deviation hides among the honest rows. */
static double largest_hidden(const struct attack_view *v, bool sums, const double *mean,
                             const double *deviation)
{
    const double most = 5.0;
    const double step = 0.01;
    size_t h = v->honest_count;
    CLEANUP(free_pointer) double *square = calloc(2 * h, sizeof *square);
    if (!square)
        return 0.0;
    double *inner = square + h;
    double bound = 0.0;
    double own = 0.0;
    for (size_t i = 0; i < h; i++) {
        double total = 0.0;
        for (size_t j = 0; j < h; j++) {
            double distance = squared_distance(v->d, v->honest[i], v->honest[j]);
            total += distance;
            bound = sums ? bound : fmax(bound, distance);
        }
        bound = sums ? fmax(bound, total) : bound;
        for (size_t c = 0; c < v->d; c++) {
            double off = mean[c] - (double)v->honest[i][c];
            square[i] += off * off;
            inner[i] += off * deviation[c];
        }
    }
    for (size_t c = 0; c < v->d; c++)
        own += deviation[c] * deviation[c];
    double low = 0.0;
    double high = most;
    while (high - low > step) {
        double middle = (low + high) / 2.0;
        if (hidden(v, sums, bound, middle, square, inner, own))
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The honest row with the largest part in the top direction of the honest spread. */
static size_t standing_out(const struct attack_view *v, const double *mean)
{
    size_t h = v->honest_count;
    CLEANUP(free_pointer) double *gram = calloc(h * h + h, sizeof *gram);
    if (!gram)
        return 0;
    double *vector = gram + h * h;
    for (size_t i = 0; i < h; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (size_t c = 0; c < v->d; c++)
                sum += ((double)v->honest[i][c] - mean[c]) * ((double)v->honest[j][c] - mean[c]);
            gram[i * h + j] = gram[j * h + i] = sum;
        }
    double value = 0.0;
    size_t best = 0;
    if (!eigen_top(h, gram, &value, vector))
        return 0;
    for (size_t i = 1; i < h; i++)
        if (fabs(vector[i]) > fabs(vector[best]))
            best = i;
    return best;
}

static double gaussian(struct rng *rng)
{
    double u = 1.0 - rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * rng_uniform(rng));
}

/* out = a mean + b deviation. */
static void shift(const struct attack_view *v, const double *mean, double a,
                  const double *deviation, double b, float *out)
{
    for (size_t c = 0; c < v->d; c++)
        out[c] = (float)(a * mean[c] + b * deviation[c]);
}

static void add_noise(const struct attack_view *v, const double *deviation, struct rng *rng,
                      float *out)
{
    for (size_t c = 0; c < v->d; c++)
        out[c] += (float)((v->noise > 0.0 ? v->noise : deviation[c]) * gaussian(rng));
}

/* The sign of the drift in a coordinate: the same for every attacker and round. */
static bool drifts_up(size_t c)
{
    uint64_t mixed = ((uint64_t)c + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= mixed >> 29;
    return (mixed * UINT64_C(0xbf58476d1ce4e5b9)) >> 63;
}

static void drift(double strength, const struct attack_view *v, float *out)
{
    double reach = strength * norm_of(v->d, v->own) / sqrt((double)v->d);
    for (size_t c = 0; c < v->d; c++)
        out[c] = (float)((double)v->own[c] + (drifts_up(c) ? reach : -reach));
}

static void one_coordinate(double strength, const struct attack_view *v, float *out)
{
    double sum = 0.0;
    for (size_t i = 0; i < v->honest_count; i++)
        sum += norm_of(v->d, v->honest[i]);
    out[v->d / 2] = (float)(strength * sum / (double)v->honest_count);
}

/* Attacks that start from the site's own update; false when the method is another. */
static bool forge_alone(const struct attack_choice *choice, const struct attack_view *v, float *out)
{
    const float *start = v->own;
    if ((choice->method == ATTACK_REPLAY || choice->method == ATTACK_STALE) && v->own_before)
        start = v->own_before;
    switch (choice->method) {
    case ATTACK_NONE:
    case ATTACK_LABEL_FLIP:
    case ATTACK_BACKDOOR:
    case ATTACK_REPLAY:
    case ATTACK_STALE:
    case ATTACK_ONE_COORDINATE:
    case ATTACK_NAN:
    case ATTACK_INFINITE:
        memmove(out, start, v->d * sizeof *out);
        break;
    case ATTACK_FREE_RIDER:
        memset(out, 0, v->d * sizeof *out);
        return true;
    case ATTACK_HUGE:
        for (size_t c = 0; c < v->d; c++)
            out[c] = (float)choice->strength;
        return true;
    case ATTACK_SLOW_DRIFT:
        drift(choice->strength, v, out);
        return true;
    default:
        return false;
    }
    if (choice->method == ATTACK_ONE_COORDINATE)
        one_coordinate(choice->strength, v, out);
    else if (choice->method == ATTACK_NAN)
        out[v->d / 2] = NAN;
    else if (choice->method == ATTACK_INFINITE)
        out[v->d / 2] = INFINITY;
    return true;
}

bool attack_forge(const struct attack_choice *choice, const struct attack_view *v, struct rng *rng,
                  float *out)
{
    if (v->d == 0 || forge_alone(choice, v, out))
        return true;
    CLEANUP(free_pointer) double *mean = calloc(2 * v->d, sizeof *mean);
    if (!mean)
        return false;
    double *deviation = mean + v->d;
    moments(v, mean, deviation);
    switch (choice->method) {
    case ATTACK_ALIE:
    case ATTACK_ALIE_NOISE:
        shift(v, mean, 1.0, deviation, -alie_z(choice, v), out);
        break;
    case ATTACK_MIMIC:
        memmove(out, v->honest[standing_out(v, mean)], v->d * sizeof *out);
        break;
    case ATTACK_MIN_MAX:
    case ATTACK_MIN_SUM:
        shift(v, mean, 1.0, deviation,
              -largest_hidden(v, choice->method == ATTACK_MIN_SUM, mean, deviation), out);
        break;
    case ATTACK_GAUSSIAN:
        for (size_t c = 0; c < v->d; c++)
            out[c] = (float)(choice->strength * deviation[c] * gaussian(rng));
        break;
    case ATTACK_INFLATED_WEIGHT:
        shift(v, mean, -ATTACK_GALLERY[ATTACK_SCALE].strength, deviation, 0.0, out);
        break;
    default: /* sign flip, scale, inner product manipulation */
        shift(v, mean, -choice->strength, deviation, 0.0, out);
        break;
    }
    if (choice->method == ATTACK_ALIE_NOISE || choice->method == ATTACK_IPM_NOISE)
        add_noise(v, deviation, rng, out);
    return true;
}
