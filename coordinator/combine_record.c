/* SPDX-License-Identifier: Apache-2.0 */
/* The anomaly record of a round: figures of every update, for the log, the report, the replay and
 * the engine. */
#include "coordinator/combine_inner.h"

#include "coordinator/aggregate/order.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In few coordinates noise alone points anywhere: five of its standard deviations. */
static struct anomaly_policy policy_for(const struct noise_expected *noise)
{
    struct anomaly_policy policy = anomaly_default();
    if (noise->known)
        policy.cosine = fmin(policy.cosine, -5 / sqrt((double)noise->d));
    return policy;
}

/* Where the noise is known, norms are compared to its own length and the median signal: sites of
 * different size carry different noise. */
static double median_signal(const struct combine_rows *rows)
{
    double squares[PLAN_SITES_MAX];
    for (size_t i = 0; i < rows->n; i++) {
        double norm = rows->of[i]->score.norm, noise = rows->of[i]->noise.length;
        squares[i] = fmax(0, norm * norm - noise * noise);
    }
    return rows->n > 0 ? sqrt(order_median(rows->n, squares)) : 0;
}

static double norm_ratio(const struct combine_rows *rows, double signal,
                         const struct combine_site *note)
{
    double usual = note->noise.known ? hypot(signal, note->noise.length) : rows->median_norm;
    return usual > 0 ? note->score.norm / usual : (double)NAN;
}

static double cosine_to(const struct codec_view *view, const float *aggregate)
{
    float block[CODEC_BLOCK];
    double own = 0, inner = 0, other = 0;
    for (uint64_t b = 0; b < view->blocks; b++) {
        uint64_t first = b * CODEC_BLOCK, left = view->d - first;
        codec_decode_blocks(view, b, 1, block);
        for (uint64_t i = 0; i < (left < CODEC_BLOCK ? left : CODEC_BLOCK); i++) {
            double x = (double)block[i], y = (double)aggregate[first + i];
            own += x * x;
            inner += x * y;
            other += y * y;
        }
    }
    return inner / (sqrt(own) * sqrt(other));
}

/* What is judged of an update that is no row of the rule: its norm, and where it points. */
static void score_alone(const struct combine_rows *rows, const struct codec_view *view,
                        double signal, const float *aggregate, struct combine_site *note)
{
    struct anomaly_policy policy = policy_for(&note->noise);
    note->score.norm_ratio = norm_ratio(rows, signal, note);
    if (view->d > 0)
        note->score.cosine = cosine_to(view, aggregate);
    note->score.flags |= anomaly_flags(&policy, &note->score);
}

static void say(struct combine_site *note)
{
    /* That an update is short is for the noise window to judge, where there is one. */
    if (note->noise.known && note->score.norm_ratio < 1)
        note->score.flags &= ~(unsigned)ANOMALY_NORM;
    if (note->sentence[0] == '\0') {
        char text[MESSAGE_REASON_BYTES] = "";
        anomaly_sentence(&note->score, text, sizeof text);
        reason_set(note->sentence, text);
    }
}

/* Noise that momentum leaves of independent noise of length 1 after k rounds: sum of the squared
 * weights of a geometric mean. */
static double noise_left(double beta, uint64_t k)
{
    double tail = 1;
    for (uint64_t i = 0; i < k && tail > 1e-12; i++)
        tail *= beta;
    return (1 - beta) / (1 + beta) * (1 + tail) / (1 - tail);
}

/* How far the rows lie apart, for the guess of the sites' dissimilarity. */
static void measure_spread(const struct combine_case *round, const struct combine_rows *rows,
                           const struct agg_explain *explain, struct combine_outcome *outcome)
{
    double between = 0, square = 0, noise = 0, n = (double)rows->n;
    double beta = round->plan->aggregation.site_momentum;
    for (size_t i = 0; i < rows->n; i++) {
        for (size_t j = 0; j < i; j++)
            between += explain->squared_distance[i * rows->n + j];
        square += explain->norm[i] * explain->norm[i];
        double length = rows->of[i]->noise.known ? rows->of[i]->noise.length : (double)NAN;
        noise +=
            length * length * (beta > 0 ? noise_left(beta, rows->sites[i].momentum_rounds) : 1);
    }
    outcome->spread = sqrt(between) / n;
    outcome->mean_norm = sqrt(fmax(0, square / n - between / (n * n)));
    outcome->noise = sqrt(noise / n);
}

struct result combine_describe(const struct combine_case *round, const struct combine_rows *rows,
                               bool nnm, struct agg_explain *explain,
                               struct combine_outcome *outcome, struct why *why)
{
    struct anomaly_score scores[PLAN_SITES_MAX];
    double signal = median_signal(rows);
    if (rows->n == 0 || rows->n > PLAN_SITES_MAX || explain->n != rows->n)
        return failed(why, RESULT_SYSTEM, "the rule explained %zu rows of %zu", explain->n,
                      rows->n);
    struct anomaly_policy policy = policy_for(&rows->of[0]->noise);
    measure_spread(round, rows, explain, outcome);
    for (size_t i = 0; i < rows->n; i++)
        explain->norm[i] = rows->of[i]->score.norm; /* as sent, whatever momentum made of it */
    anomaly_score_round(&policy, explain, nnm, scores);
    for (size_t i = 0; i < rows->n; i++) {
        struct combine_site *note = rows->of[i];
        unsigned before = note->score.flags;
        note->score = scores[i];
        note->score.norm_ratio = norm_ratio(rows, signal, note);
        policy = policy_for(&note->noise);
        note->score.flags = before | (scores[i].flags & ~(unsigned)ANOMALY_NORM) |
                            (anomaly_flags(&policy, &note->score) & ANOMALY_NORM);
    }
    for (size_t i = 0; i < round->n; i++)
        if (outcome->sites[i].fate == COMBINE_ASIDE)
            score_alone(rows, &rows->aside[i], signal, outcome->aggregate, &outcome->sites[i]);
    for (size_t i = 0; i < outcome->sites_count; i++)
        say(&outcome->sites[i]);
    return DONE;
}

static void put(json_t *o, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(o, key, json_real(value));
}

static json_t *flags_json(unsigned flags)
{
    json_t *list = json_array();
    for (unsigned bit = 1; bit <= flags; bit <<= 1)
        if (flags & bit)
            json_array_append_new(list, json_string(anomaly_flag_name(bit)));
    return list;
}

static json_t *noise_json(const struct combine_site *s)
{
    static const char *const VERDICTS[] = {[NOISE_FLOOR_OK] = "ok",
                                           [NOISE_FLOOR_TOO_LITTLE] = "too-little",
                                           [NOISE_FLOOR_TOO_MUCH] = "too-much",
                                           [NOISE_FLOOR_INVALID] = "invalid"};
    json_t *o = json_object();
    json_object_set_new(o, "tested", json_boolean(s->noise.known));
    if (!s->noise.known) {
        json_object_set_new(o, "reason",
                            json_string(s->noise.reason ? s->noise.reason : "it does not decode"));
        return o;
    }
    json_object_set_new(o, "verdict", json_string(VERDICTS[s->noise_verdict]));
    put(o, "low", s->noise.window.low);
    put(o, "high", s->noise.window.high);
    put(o, "noise", s->noise.length);
    put(o, "so_far", s->noise_sum);
    put(o, "so_far_low", s->noise_low);
    return o;
}

static json_t *site_json(const struct study *study, const struct combine_site *s)
{
    static const char *const FATES[] = {[COMBINE_COUNTED] = "counted",
                                        [COMBINE_REFUSED] = "refused",
                                        [COMBINE_ASIDE] = "set-aside"};
    struct anomaly_site conduct = study->members[s->site].conduct;
    struct anomaly_policy policy = study_conduct_policy(study);
    anomaly_site_step(&policy, &conduct, s->score.flags);
    json_t *o = json_object();
    json_object_set_new(o, "site", json_string_nocheck(study->members[s->site].name));
    json_object_set_new(o, "fate", json_string(FATES[s->fate]));
    put(o, "patients", s->patients);
    put(o, "norm", s->score.norm);
    put(o, "norm_ratio", s->score.norm_ratio);
    put(o, "cosine", s->score.cosine);
    put(o, "inclusion", s->score.inclusion);
    put(o, "caf_weight", s->score.caf_weight);
    put(o, "clip_factor", s->score.clip_factor);
    put(o, "weight", s->score.weight);
    json_object_set_new(o, "noise", noise_json(s));
    json_object_set_new(o, "flags", flags_json(s->score.flags));
    if (s->sentence[0])
        json_object_set_new(o, "reason", json_string_nocheck(s->sentence));
    put(o, "reputation", conduct.reputation);
    json_object_set_new(o, "flagged", json_integer((json_int_t)conduct.flagged));
    json_object_set_new(o, "open", json_integer((json_int_t)conduct.open));
    json_object_set_new(o, "quarantined", json_boolean(conduct.quarantined));
    return o;
}

struct result combine_record(const struct study *study, const struct combine_outcome *outcome,
                             json_t **ret_record, struct why *why)
{
    json_t *record = json_object(), *sites = json_array();
    for (size_t i = 0; i < outcome->sites_count; i++)
        json_array_append_new(sites, site_json(study, &outcome->sites[i]));
    json_object_set_new(record, "rows", json_integer((json_int_t)outcome->rows));
    json_object_set_new(record, "withstands", json_integer((json_int_t)outcome->hostile));
    put(record, "spread", outcome->spread);
    put(record, "mean_norm", outcome->mean_norm);
    put(record, "noise", outcome->noise);
    json_object_set_new(record, "updates", sites);
    *ret_record = record;
    return record && sites ? DONE : failed(why, RESULT_SYSTEM, "out of memory for a record");
}

struct result combine_marks(const struct combine_outcome *outcome, struct study_mark **ret_marks,
                            size_t *ret_count, struct why *why)
{
    struct study_mark *marks = calloc(outcome->sites_count + 1, sizeof *marks);
    if (!marks)
        return failed(why, RESULT_SYSTEM, "out of memory");
    for (size_t i = 0; i < outcome->sites_count; i++)
        marks[i] = (struct study_mark){.site = outcome->sites[i].site,
                                       .flags = outcome->sites[i].score.flags,
                                       .sentence = outcome->sites[i].sentence};
    *ret_marks = marks;
    *ret_count = outcome->sites_count;
    return DONE;
}
