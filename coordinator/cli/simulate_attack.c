/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on one round's aggregation. H: the honest updates, m and s their mean and standard
 * deviation by coordinate, own: what the hostile site would have sent.
 *
 *   alie: Baruch, Baruch and Goldberg, NeurIPS 2019: m - z s with z = 1.5
 *   ipm: Xie, Koyejo and Gupta, UAI 2019: -0.5 m
 *   mimic: Karimireddy, He and Jaggi, ICLR 2022: a copy of the honest row farthest from the mean
 *   min-max, min-sum: Shejwalkar and Houmansadr, NDSS 2021: m - gamma s, gamma by bisection */
#include "coordinator/cli/simulate_attack.h"

#include "privacy/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum method {
    METHOD_NONE,
    METHOD_SIGN_FLIP,
    METHOD_SCALE,
    METHOD_ALIE,
    METHOD_ALIE_NOISE,
    METHOD_IPM,
    METHOD_IPM_NOISE,
    METHOD_MIMIC,
    METHOD_MIN_MAX,
    METHOD_MIN_SUM,
    METHOD_FREE_RIDER,
    METHOD_REPLAY,
    METHOD_STALE,
    METHOD_ONE_COORDINATE,
    METHOD_NAN,
    METHOD_INFINITE,
    METHOD_HUGE,
    METHOD_DRIFT,
};

enum { ROWS_MAX = PLAN_SITES_MAX, STALE_ROUNDS = 5 };
static const double SCALE = 9.0; /* just within the norm gate of ten times the median */

static const struct line {
    struct attack_kind kind;
    enum method method;
} GALLERY[] = {
    {{"sign-flip", "minus the honest mean", POISON_NONE, 0}, METHOD_SIGN_FLIP},
    {{"scale", "minus the honest mean, nine times", POISON_NONE, 0}, METHOD_SCALE},
    {{"alie", "a little is enough: mean less 1.5 deviations", POISON_NONE, 0}, METHOD_ALIE},
    {{"alie-noise", "the same, as noisy as honest updates", POISON_NONE, 0}, METHOD_ALIE_NOISE},
    {{"ipm", "inner product manipulation: minus half the mean", POISON_NONE, 0}, METHOD_IPM},
    {{"ipm-noise", "the same, as noisy as honest updates", POISON_NONE, 0}, METHOD_IPM_NOISE},
    {{"mimic", "a copy of the most unusual honest update", POISON_NONE, 0}, METHOD_MIMIC},
    {{"min-max", "as far as the honest are apart", POISON_NONE, 0}, METHOD_MIN_MAX},
    {{"min-sum", "as far as the honest are on average", POISON_NONE, 0}, METHOD_MIN_SUM},
    {{"free-rider", "zeros", POISON_NONE, 0}, METHOD_FREE_RIDER},
    {{"replay", "its own first update in every round", POISON_NONE, 0}, METHOD_REPLAY},
    {{"stale", "its update of five rounds ago", POISON_NONE, 0}, METHOD_STALE},
    {{"one-coordinate", "one coordinate as large as the norm gate lets pass", POISON_NONE, 0},
     METHOD_ONE_COORDINATE},
    {{"nan", "one value that is no number", POISON_NONE, 0}, METHOD_NAN},
    {{"infinite", "one infinite value", POISON_NONE, 0}, METHOD_INFINITE},
    {{"huge", "values of 1e30", POISON_NONE, 0}, METHOD_HUGE},
    {{"slow-drift", "its own update and a tenth of its norm in one direction", POISON_NONE, 0},
     METHOD_DRIFT},
    {{"inflated-weight", "declares a thousand times its patients, and scales", POISON_NONE, 1000},
     METHOD_SCALE},
    {{"label-flip", "trains on labels turned round", POISON_LABELS, 0}, METHOD_NONE},
    {{"backdoor", "trains a trigger into half of its patients", POISON_TRIGGER, 0}, METHOD_NONE},
};
enum { LINES = sizeof GALLERY / sizeof GALLERY[0] };

struct attack {
    const struct line *line;
    const char *hostile;
    size_t n, rows; /* honest updates of the round */
    float *row[ROWS_MAX];
    bool acted; /* the hostile site has sent in this round */
    double *mean, *spread;
    float *first;              /* replay */
    float *past[STALE_ROUNDS]; /* ring */
    size_t rounds;
    struct rng rng;
};

const struct attack_kind *attack_kinds(void)
{
    static struct attack_kind kinds[LINES + 1];
    for (size_t i = 0; i < LINES; i++)
        kinds[i] = GALLERY[i].kind;
    return kinds;
}

static const unsigned char SEED[RNG_KEY_BYTES] = "consilium attack";

struct result attack_create(const char *name, const char *hostile, struct attack **ret_attack,
                            struct why *why)
{
    char names[WHY_BYTES] = "";
    for (size_t i = 0; i < LINES; i++) {
        size_t used = strlen(names);
        if (strcmp(GALLERY[i].kind.name, name) == 0) {
            struct attack *attack = calloc(1, sizeof *attack);
            if (!attack)
                return failed(why, RESULT_SYSTEM, "out of memory");
            attack->line = &GALLERY[i];
            attack->hostile = hostile;
            rng_init_seeded(&attack->rng, SEED, 0);
            *ret_attack = attack;
            return DONE;
        }
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", GALLERY[i].kind.name);
    }
    return failed(why, RESULT_INPUT, "there is no attack '%.40s'; there are: %s", name, names);
}

void attack_free(struct attack *attack)
{
    if (!attack)
        return;
    for (size_t i = 0; i < ROWS_MAX; i++)
        free(attack->row[i]);
    for (size_t i = 0; i < STALE_ROUNDS; i++)
        free(attack->past[i]);
    free(attack->first);
    free(attack->mean);
    free(attack->spread);
    free(attack);
}

const struct attack_kind *attack_kind(const struct attack *attack)
{
    return &attack->line->kind;
}

static bool keep(float **slot, const float *update, size_t n)
{
    if (!*slot)
        *slot = malloc((n ? n : 1) * sizeof **slot);
    if (*slot)
        memcpy(*slot, update, n * sizeof **slot);
    return *slot != NULL;
}

static double distance2(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

static double norm(const float *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)a[i];
    return sqrt(sum);
}

/* Mean and standard deviation (divisor rows - 1) of the honest rows. */
static bool moments(struct attack *a)
{
    if (!a->mean)
        a->mean = calloc(a->n, sizeof *a->mean);
    if (!a->spread)
        a->spread = calloc(a->n, sizeof *a->spread);
    if (!a->mean || !a->spread)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        double sum = 0, square = 0;
        for (size_t r = 0; r < a->rows; r++)
            sum += (double)a->row[r][i];
        a->mean[i] = sum / (double)a->rows;
        for (size_t r = 0; r < a->rows; r++)
            square += ((double)a->row[r][i] - a->mean[i]) * ((double)a->row[r][i] - a->mean[i]);
        a->spread[i] = a->rows > 1 ? sqrt(square / (double)(a->rows - 1)) : 0;
    }
    return true;
}

/* out = a m + b s */
static void combine(const struct attack *a, double of_mean, double of_spread, float *out)
{
    for (size_t i = 0; i < a->n; i++)
        out[i] = (float)(of_mean * a->mean[i] + of_spread * a->spread[i]);
}

/* Noise of the honest updates' own spread, so that the row looks like one of them; by Box and
 * Muller. */
static void add_noise(struct attack *a, float *out)
{
    for (size_t i = 0; i < a->n; i++) {
        double radius = sqrt(-2 * log(1 - rng_uniform(&a->rng)));
        out[i] += (float)(a->spread[i] * radius * cos(2 * M_PI * rng_uniform(&a->rng)));
    }
}

/* The honest row farthest from the mean. */
static void mimic(const struct attack *a, float *out)
{
    double most = -1;
    size_t chosen = 0;
    for (size_t r = 0; r < a->rows; r++) {
        double sum = 0;
        for (size_t i = 0; i < a->n; i++)
            sum += ((double)a->row[r][i] - a->mean[i]) * ((double)a->row[r][i] - a->mean[i]);
        if (sum > most) {
            most = sum;
            chosen = r;
        }
    }
    memcpy(out, a->row[chosen], a->n * sizeof *out);
}

/* Largest (or summed) squared distance from out to the honest rows. */
static double reach(const struct attack *a, const float *out, bool sum)
{
    double total = 0;
    for (size_t r = 0; r < a->rows; r++) {
        double d = distance2(out, a->row[r], a->n);
        total = sum ? total + d : fmax(total, d);
    }
    return total;
}

/* m - gamma s with the largest gamma whose reach is within that of the honest rows. */
static void min_max(const struct attack *a, bool sum, float *out)
{
    double limit = 0, low = 0, high = 5;
    for (size_t r = 0; r < a->rows; r++)
        limit = fmax(limit, reach(a, a->row[r], sum));
    for (int i = 0; i < 20; i++) {
        double gamma = (low + high) / 2;
        combine(a, 1, -gamma, out);
        if (reach(a, out, sum) <= limit)
            low = gamma;
        else
            high = gamma;
    }
    combine(a, 1, -low, out);
}

static void one_coordinate(const struct attack *a, float *out)
{
    double sum = 0;
    for (size_t r = 0; r < a->rows; r++)
        sum += norm(a->row[r], a->n);
    out[0] = (float)(SCALE * sum / (double)a->rows);
}

static void drift(size_t n, float *out)
{
    double step = 0.1 * norm(out, n) / sqrt((double)n);
    for (size_t i = 0; i < n; i++)
        out[i] += (float)step;
}

static void from_the_past(struct attack *a, float *out)
{
    float **slot = &a->past[a->rounds % STALE_ROUNDS];
    float *old = *slot;
    *slot = NULL;
    if (keep(slot, out, a->n) && old)
        memcpy(out, old, a->n * sizeof *out);
    free(old);
}

static void act(struct attack *a, float *out)
{
    switch (a->line->method) {
    case METHOD_NONE:
        break;
    case METHOD_SIGN_FLIP:
        combine(a, -1, 0, out);
        break;
    case METHOD_SCALE:
        combine(a, -SCALE, 0, out);
        break;
    case METHOD_ALIE:
        combine(a, 1, -1.5, out);
        break;
    case METHOD_ALIE_NOISE:
        combine(a, 1, -0.5, out);
        add_noise(a, out);
        break;
    case METHOD_IPM:
        combine(a, -0.5, 0, out);
        break;
    case METHOD_IPM_NOISE:
        combine(a, -0.5, 0, out);
        add_noise(a, out);
        break;
    case METHOD_MIMIC:
        mimic(a, out);
        break;
    case METHOD_MIN_MAX:
        min_max(a, false, out);
        break;
    case METHOD_MIN_SUM:
        min_max(a, true, out);
        break;
    case METHOD_FREE_RIDER:
        memset(out, 0, a->n * sizeof *out);
        break;
    case METHOD_REPLAY:
        if (a->first)
            memcpy(out, a->first, a->n * sizeof *out);
        else
            a->acted = keep(&a->first, out, a->n);
        break;
    case METHOD_STALE:
        from_the_past(a, out);
        break;
    case METHOD_ONE_COORDINATE:
        one_coordinate(a, out);
        break;
    case METHOD_NAN:
        out[0] = NAN;
        break;
    case METHOD_INFINITE:
        out[0] = INFINITY;
        break;
    case METHOD_HUGE:
        for (size_t i = 0; i < a->n; i++)
            out[i] = 1e30f;
        break;
    case METHOD_DRIFT:
        drift(a->n, out);
        break;
    }
}

void attack_tamper(void *context, const char *site, float *update, size_t n)
{
    struct attack *a = context;
    a->n = n;
    if (strcmp(site, a->hostile) == 0) {
        if (n > 0 && a->rows > 0 && moments(a))
            act(a, update);
        a->acted = true;
        a->rounds++;
        return;
    }
    if (a->acted) {
        a->acted = false;
        a->rows = 0;
    }
    if (a->rows < ROWS_MAX && keep(&a->row[a->rows], update, n))
        a->rows++;
}
