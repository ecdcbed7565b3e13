/* SPDX-License-Identifier: Apache-2.0 */
/* The gate before the rule: each update is opened, measured and judged, and becomes a row or a
 * refusal with its reason. */
#include "coordinator/combine_inner.h"

#include "coordinator/aggregate/admit.h"
#include "coordinator/aggregate/order.h"
#include "proto/base/cleanup.h"
#include "proto/plan_privacy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without privacy, an update longer than so many times the median of the last round, in the first
 * round of this one, is refused when the plan sets no norm. */
static const double NORM_FACTOR = 10;
enum { NORM_ROWS_MIN = 3 /* fewer have no median that one of them could not move */ };

void combine_rows_free(struct combine_rows *rows)
{
    free(rows->views);
    free(rows->of);
    free(rows->patients);
    free(rows->updates);
    free(rows->sites);
    free(rows->aside);
    free(rows->momentum);
    free(rows->values);
    memset(rows, 0, sizeof *rows);
}

struct result combine_open_frame(const struct plan *plan, const struct payload_update *update,
                                 size_t d, struct codec_view *view, struct why *why)
{
    struct codec planned;
    TRY(codec_parse(plan->compression, &planned, why));
    struct result r = codec_open(update->frame, update->frame_n, d, view, why);
    if (!ok(r))
        return failed_in(why, (struct result){RESULT_REFUSED}, "the update does not decode");
    if (!codec_view_is(view, &planned))
        return failed(why, RESULT_REFUSED, "the update is not compressed by the plan's '%s'",
                      plan->compression);
    return DONE;
}

static bool decode_view(void *context, size_t row, size_t first, size_t count, float *out)
{
    const struct codec_view *views = context;
    codec_decode_blocks(&views[row], first / CODEC_BLOCK, (count + CODEC_BLOCK - 1) / CODEC_BLOCK,
                        out);
    return true;
}

/* A decode of an opened frame cannot fail, so neither does the measure. */
static void measure(const struct codec_view *view, struct admit_facts *facts)
{
    struct agg_source source = {.n = 1,
                                .d = (size_t)view->d,
                                .decode = decode_view,
                                .context = (void *)(uintptr_t)view};
    struct why ignored;
    if (!ok(admit_measure(&source, 0, facts, &ignored)))
        facts->squared_norm = (double)NAN;
}

double combine_norm(const struct codec_view *view)
{
    struct admit_facts facts = {0};
    measure(view, &facts);
    return sqrt(facts.squared_norm);
}

struct result combine_check(const struct plan *plan, const struct payload_update *update, size_t d,
                            struct why *why)
{
    struct codec_view view;
    if (update->declared_patients == 0)
        return failed(why, RESULT_REFUSED, "the update claims no patients");
    TRY(combine_open_frame(plan, update, d, &view, why));
    double norm = combine_norm(&view);
    if (!isfinite(norm))
        return failed(why, RESULT_REFUSED, "the update's norm is not finite");
    if (plan->aggregation.max_norm > 0 && norm > plan->aggregation.max_norm)
        return failed(why, RESULT_REFUSED, "the update's norm is %.3g, the plan's limit %.3g", norm,
                      plan->aggregation.max_norm);
    return DONE;
}

struct result combine_noise_multiplier(const struct plan *plan, double *ret_noise, struct why *why)
{
    *ret_noise = 0;
    if (plan->privacy.mode == PRIVACY_NONE)
        return DONE;
    return plan_noise(plan, 1, ret_noise, why);
}

/* One update under the gate. */
struct candidate {
    const struct combine_update *update;
    struct combine_site *note;
    struct codec_view view;
    struct admit_facts facts;
    struct server_site evidence;
    bool open;
};

/* What is set aside would not have counted anyway: it is noted, not refused. */
static void refuse(struct combine_outcome *outcome, struct combine_site *note, const char *reason)
{
    note->score.flags |= ANOMALY_REJECTED;
    reason_set(note->sentence, reason);
    if (note->fate == COMBINE_ASIDE)
        return;
    struct study_refusal *refusal = &outcome->refusals[outcome->refusals_count++];
    note->fate = COMBINE_REFUSED;
    refusal->site = note->site;
    reason_set(refusal->reason, reason);
}

static struct result allocate(struct combine_rows *rows, struct combine_outcome *outcome, size_t n,
                              size_t d, struct why *why)
{
    *rows = (struct combine_rows){.d = d};
    rows->views = calloc(n + 1, sizeof *rows->views);
    rows->of = calloc(n + 1, sizeof *rows->of);
    rows->patients = calloc(n + 1, sizeof *rows->patients);
    rows->updates = calloc(n + 1, sizeof *rows->updates);
    rows->sites = calloc(n + 1, sizeof *rows->sites);
    rows->aside = calloc(n + 1, sizeof *rows->aside);
    outcome->refusals = calloc(n + 1, sizeof *outcome->refusals);
    outcome->sites = calloc(n + 1, sizeof *outcome->sites);
    outcome->aggregate = calloc(d, sizeof *outcome->aggregate);
    if (!rows->views || !rows->of || !rows->patients || !rows->updates || !rows->sites ||
        !rows->aside || !outcome->refusals || !outcome->sites || !outcome->aggregate)
        return failed(why, RESULT_SYSTEM, "out of memory for %zu updates of %zu parameters", n, d);
    return DONE;
}

/* Everything that can be told of one update by itself. */
static struct result examine(const struct combine_case *round, const struct server *server,
                             size_t i, struct candidate *c, struct combine_outcome *outcome,
                             struct why *why)
{
    struct why reason;
    const struct combine_update *update = &round->updates[i];
    if (update->site >= server->sites_count)
        return failed(why, RESULT_INPUT, "update %zu is of no site of the plan", i);
    c->update = update;
    c->note = &outcome->sites[outcome->sites_count++];
    c->evidence = server->sites[update->site];
    *c->note = (struct combine_site){.site = update->site,
                                     .fate = update->aside ? COMBINE_ASIDE : COMBINE_COUNTED,
                                     .patients = (double)update->update.declared_patients,
                                     .score = anomaly_score_none()};
    c->facts.round = update->update.round;
    memcpy(c->facts.base, update->base, ADMIT_HASH_BYTES);
    c->facts.repeated = i > 0 && round->updates[i - 1].site == update->site;
    struct result r =
        combine_open_frame(round->plan, &update->update, server->d, &c->view, &reason);
    c->open = ok(r);
    if (r.code == RESULT_REFUSED)
        refuse(outcome, c->note, reason.text);
    if (!c->open)
        return r.code == RESULT_REFUSED ? DONE : failed(why, r.code, "%s", reason.text);
    measure(&c->view, &c->facts);
    c->note->score.norm = sqrt(c->facts.squared_norm);
    return noise_expect(round->plan, round->noise_multiplier, server,
                        update->update.declared_patients, &c->view, &c->note->noise, why);
}

/* A window around the noise, or, where it is not known, under the last round's median. */
static void judge(const struct combine_case *round, const struct admit_policy *policy,
                  double median_norm, struct candidate *c, struct combine_outcome *outcome)
{
    struct why reason = {.text = ""};
    struct combine_site *note = c->note;
    struct admit_policy own = *policy;
    own.norm_factor = note->noise.known ? 0 : policy->norm_factor;
    enum admit_verdict verdict = admit_judge(&own, &c->facts, median_norm, &reason);
    if (verdict != ADMIT_ACCEPTED) {
        refuse(outcome, note, reason.text);
        return;
    }
    if (!note->noise.known)
        return;
    const struct noise_expected *noise = &note->noise;
    note->noise_verdict = noise_judge(noise, note->score.norm, &c->evidence, &note->noise_low);
    note->noise_sum = c->evidence.noise_sum;
    if (note->noise_verdict == NOISE_FLOOR_OK)
        return;
    note->score.flags |= ANOMALY_NOISE;
    if (round->plan->aggregation.noise_floor != NOISE_REFUSE)
        return;
    if (note->noise_verdict == NOISE_FLOOR_TOO_LITTLE && note->score.norm >= noise->window.low)
        snprintf(reason.text, sizeof reason.text,
                 "the site's updates so far carry too little privacy noise: sum of squares %.4g, "
                 "at least %.4g is expected",
                 note->noise_sum, note->noise_low);
    else
        snprintf(reason.text, sizeof reason.text,
                 "the update's norm is %.4g where clipping and privacy noise give %.4g to %.4g: %s",
                 note->score.norm, noise->window.low, noise->window.high,
                 note->noise_verdict == NOISE_FLOOR_TOO_LITTLE ? "its noise is missing or too small"
                                                               : "it was amplified");
    refuse(outcome, note, reason.text);
    return;
}

/* Middle of the norms of those that may still enter; 0 when there are none. */
static double median_of(const struct candidate *list, size_t n, size_t *ret_count)
{
    double norms[PLAN_SITES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < n && count < PLAN_SITES_MAX; i++)
        if (list[i].open && list[i].note->fate == COMBINE_COUNTED &&
            isfinite(list[i].note->score.norm))
            norms[count++] = list[i].note->score.norm;
    *ret_count = count;
    return count > 0 ? order_median(count, norms) : 0;
}

static void keep(struct combine_rows *rows, const struct candidate *c)
{
    rows->views[rows->n] = c->view;
    rows->of[rows->n] = c->note;
    rows->patients[rows->n] = c->note->patients;
    rows->updates[rows->n] = c->update;
    rows->sites[rows->n++] = c->evidence;
}

static struct result admit_all(const struct combine_case *round, const struct server *server,
                               struct candidate *list, struct combine_rows *rows,
                               struct combine_outcome *outcome, struct why *why)
{
    struct admit_policy policy = {.round = server->round + 1,
                                  .d = server->d,
                                  .norm_factor = NORM_FACTOR,
                                  .max_norm = round->plan->aggregation.max_norm};
    size_t count = 0;
    memcpy(policy.base, round->base, ADMIT_HASH_BYTES);
    for (size_t i = 0; i < round->n; i++)
        TRY(examine(round, server, i, &list[i], outcome, why));
    double now = median_of(list, round->n, &count), middle = server->median_norm;
    if (!(middle > 0))
        middle = count >= NORM_ROWS_MIN ? now : 0;
    for (size_t i = 0; i < round->n; i++) {
        if (!list[i].open)
            continue;
        judge(round, &policy, middle, &list[i], outcome);
        if (list[i].note->fate == COMBINE_COUNTED)
            keep(rows, &list[i]);
        if (list[i].note->fate == COMBINE_ASIDE && isfinite(list[i].note->score.norm))
            rows->aside[i] = list[i].view;
    }
    rows->median_norm = median_of(list, round->n, &count);
    return DONE;
}

struct result combine_admit(const struct combine_case *round, const struct server *server,
                            struct combine_rows *rows, struct combine_outcome *outcome,
                            struct why *why)
{
    if (round->n > PLAN_SITES_MAX)
        return failed(why, RESULT_INPUT, "more updates than sites");
    TRY(allocate(rows, outcome, round->n, server->d, why));
    CLEANUP(free_pointer) struct candidate *list = calloc(round->n + 1, sizeof *list);
    if (!list)
        return failed(why, RESULT_SYSTEM, "out of memory for %zu updates", round->n);
    return admit_all(round, server, list, rows, outcome, why);
}
