/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger of a family of models.
 *
 *   unknown ── first judgement ──▶ submitted (alpha given) ── look 1..max_wait ──▶ dead
 *                                        │ passes, and people put it into use
 *                                        ▼
 *                                     in use
 * Invariants:
 *  1. A model's index never changes; alpha is given once, at submission.
 *  2. A look counts only figures of patients of epochs that began after the submission.
 *  3. Which models a candidate is compared with follows from what was in use when it was submitted
 *     and since, never from figures.
 *  4. The information of each comparison grows from look to look.
 *
 * A look's bound: sequential_bounds with spending alpha t, t = information over that with which a
 * model equal to the other passes at once with a power of .8; the last look has t = 1. */
#include "coordinator/validate/family_ledger.h"

#include "coordinator/validate/aacp.h"
#include "linalg/special.h"
#include "linalg/stats/sequential.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double POWER = 0.8;
static const double INFORMATION_MAX = 1e15; /* of two models that rank everybody alike */
static const double NO_ALPHA_BOUND = 8.0;
static const double GRID_STEP = 0.04; /* of z: good to 1e-6 */

static bool by_looks(enum alpha_policy kind)
{
    return kind == ALPHA_BAC || kind == ALPHA_BABR;
}

struct ledger_policy ledger_policy_default(enum alpha_policy kind)
{
    return (struct ledger_policy){
        .kind = kind,
        .alpha_total = by_looks(kind) ? 200000 : 50000,
        .alpha_cap = 50000,
        .use_factor = kind == ALPHA_BABR ? 1600000 : 1000000,
        .window = 15,
        .max_wait = 4,
    };
}

struct result ledger_policy_check(const struct ledger_policy *p, struct why *why)
{
    if (p->alpha_total <= 0 || p->alpha_total >= AACP_MICRO / 2 || p->alpha_cap <= 0 ||
        p->alpha_cap >= AACP_MICRO / 2)
        return failed(why, RESULT_INPUT,
                      "the ledger's alpha and cap lie between 1 and 499999 micro-units");
    if (p->use_factor < AACP_MICRO / 10 || p->use_factor > 10 * AACP_MICRO)
        return failed(why, RESULT_INPUT,
                      "the ledger's factor lies between 100000 and 10000000 micro-units");
    if (p->window == 0 || p->window > LEDGER_MODELS_MAX || p->max_wait == 0 ||
        p->max_wait > LEDGER_LOOKS_MAX)
        return failed(why, RESULT_INPUT, "the ledger's window is 1 to %d, its wait 1 to %d",
                      LEDGER_MODELS_MAX, LEDGER_LOOKS_MAX);
    return DONE;
}

static bool same_policy(const struct ledger_policy *a, const struct ledger_policy *b)
{
    return a->used == b->used && a->kind == b->kind && a->alpha_total == b->alpha_total &&
           a->alpha_cap == b->alpha_cap && a->use_factor == b->use_factor &&
           a->window == b->window && a->max_wait == b->max_wait;
}

static unsigned find_model(const struct family_ledger *l, const unsigned char *hash)
{
    unsigned i = 0;
    while (i < l->models && memcmp(l->model[i].hash, hash, LEDGER_HASH_BYTES) != 0)
        i++;
    return i;
}

/* The site's place, making one; LEDGER_SITES_MAX when there is no room. */
static unsigned site_place(struct family_ledger *l, const char *name)
{
    unsigned i = 0;
    while (i < l->sites && strcmp(l->site[i], name) != 0)
        i++;
    if (i == l->sites && i < LEDGER_SITES_MAX) {
        snprintf(l->site[i], LEDGER_NAME_BYTES, "%s", name);
        l->sites++;
    }
    return i;
}

static uint64_t epoch_then(const struct family_ledger *l, const struct ledger_model *m,
                           const char *site)
{
    for (unsigned i = 0; i < l->sites; i++)
        if (strcmp(l->site[i], site) == 0)
            return m->epoch[i];
    return 0;
}

uint64_t family_ledger_epoch(const struct family_ledger *ledger, unsigned index, const char *site)
{
    return index < ledger->models ? epoch_then(ledger, &ledger->model[index], site) : 0;
}

struct result family_ledger_may_look(const struct family_ledger *l, const struct ledger_policy *p,
                                     const unsigned char *candidate, unsigned *ret_index,
                                     struct why *why)
{
    unsigned j = find_model(l, candidate);
    *ret_index = j;
    if (!p->used || !by_looks(p->kind))
        return failed(why, RESULT_REFUSED,
                      "the alpha ledger's policy is '%s', which decides at once; only bac and babr "
                      "look again",
                      p->used ? alpha_policy_name(p->kind) : "off");
    if (j == l->models || !same_policy(&l->policy, p))
        return failed(why, RESULT_REFUSED,
                      "the candidate was not submitted under the alpha ledger's present policy; a "
                      "new study submits another one");
    if (l->model[j].in_use_once)
        return failed(why, RESULT_REFUSED, "the candidate has been in use; monitoring watches it");
    if (l->model[j].looks >= p->max_wait)
        return failed(why, RESULT_REFUSED, "all %u looks at this candidate are used up",
                      p->max_wait);
    return DONE;
}

/* Alpha for the model that would be submitted next, by the published arithmetic in integers. */
static struct result next_alphas(const struct family_ledger *l, const struct ledger_policy *p,
                                 bool bench_new, int64_t *alpha, int64_t *bench, struct why *why)
{
    CLEANUP(free_pointer) struct aacp *a = calloc(1, sizeof *a);
    if (!a)
        return failed(why, RESULT_SYSTEM, "no memory for the alpha ledger");
    const struct aacp_policy policy = {
        .kind = p->kind == ALPHA_BAC ? AACP_BAC : AACP_BABR,
        .alpha_total = p->alpha_total,
        .alpha_cap = p->alpha_cap,
        .use_factor = p->use_factor,
        .denom_min = AACP_MICRO,
        .window = p->window,
        .max_wait = p->max_wait,
        .endpoints = 1,
    };
    TRY(aacp_init(a, &policy, why));
    unsigned j = l->models;
    for (unsigned k = 0; k < j; k++) {
        a->alpha[k] = l->model[k].alpha;
        a->bench_alpha[k] = l->model[k].bench_alpha;
        if (k > 1)
            a->benchmark_new[k - 1] = l->model[k].bench_new;
    }
    if (j > 1)
        a->benchmark_new[j - 1] = bench_new;
    a->decisions = j > 0 ? j : 1;
    *alpha = aacp_next_alpha(a, j, false);
    *bench = aacp_next_alpha(a, j, true);
    return DONE;
}

/* A model at the end of the list; the caller has made sure that there is room. */
static struct ledger_model *add_model(struct family_ledger *l, const unsigned char *hash)
{
    struct ledger_model *m = &l->model[l->models];
    memset(m, 0, sizeof *m);
    memcpy(m->hash, hash, LEDGER_HASH_BYTES);
    m->in_use_then = l->in_use;
    m->bench_then = l->benchmark;
    l->models++;
    return m;
}

/* What came into use since the last judgement. A rollback to a model that was in use before gives
 * no alpha back. */
static void note_in_use(struct family_ledger *l, const unsigned char *incumbent, bool *bench_moved)
{
    unsigned i = find_model(l, incumbent);
    *bench_moved = false;
    if (i == l->models) {
        add_model(l, incumbent)->in_use_once = true;
        l->benchmark = i == 0 ? 0 : l->benchmark;
    } else if (!l->model[i].in_use_once) {
        l->model[i].in_use_once = true;
        if (l->policy.kind == ALPHA_RESET) {
            l->spent = 0;
            l->tries = 0;
        }
        if (l->model[i].beats_benchmark && i > l->benchmark) {
            l->benchmark = i;
            *bench_moved = true;
        }
    }
    l->in_use = i;
}

static bool for_approval(const struct family_ledger *l, unsigned j, unsigned i)
{
    const struct ledger_model *m = &l->model[j];
    return i != j && (l->model[i].in_use_once || (i >= m->in_use_then && i <= l->in_use));
}

static bool for_benchmark(const struct family_ledger *l, unsigned j, unsigned i)
{
    return l->policy.kind == ALPHA_BABR && i != j && i >= l->model[j].bench_then &&
           i <= l->benchmark;
}

/* One more than there is room for tells that there are too many. */
static size_t comparators(const struct family_ledger *l, unsigned j,
                          unsigned against[LEDGER_COMPARATORS_MAX])
{
    size_t n = 0;
    for (unsigned i = 0; i < l->models; i++) {
        if (!for_approval(l, j, i) && !for_benchmark(l, j, i))
            continue;
        if (n < LEDGER_COMPARATORS_MAX)
            against[n] = i;
        n++;
    }
    return n;
}

size_t family_ledger_comparators(const struct family_ledger *ledger, const unsigned char *candidate,
                                 const unsigned char *incumbent,
                                 unsigned against[LEDGER_COMPARATORS_MAX])
{
    unsigned j = find_model(ledger, candidate);
    if (!ledger->policy.used || !by_looks(ledger->policy.kind) || j == ledger->models)
        return 0;
    CLEANUP(free_pointer) struct family_ledger *trial = malloc(sizeof *trial);
    bool moved;
    if (!trial)
        return 0;
    *trial = *ledger;
    if (trial->models < LEDGER_MODELS_MAX || find_model(trial, incumbent) < trial->models)
        note_in_use(trial, incumbent, &moved);
    size_t n = comparators(trial, j, against), kept = 0;
    n = n < LEDGER_COMPARATORS_MAX ? n : LEDGER_COMPARATORS_MAX;
    for (size_t k = 0; k < n; k++) /* one that the ledger does not know yet is the one in use */
        if (against[k] < ledger->models && against[k] != trial->in_use)
            against[kept++] = against[k];
    return kept;
}

/* Sites whose figures are of patients that came after the submission. */
static size_t new_epochs(const struct family_ledger *l, const struct ledger_model *m,
                         const struct ledger_event *event, bool *use)
{
    size_t count = 0;
    for (size_t i = 0; i < event->n_reports; i++) {
        const struct ledger_report *r = &event->reports[i];
        uint64_t then = epoch_then(l, m, r->site);
        use[i] = then > 0 && r->epoch_first > then && r->epoch >= r->epoch_first;
        count += use[i];
    }
    return count;
}

/* The bound of a comparison at this look, whose information is times[k - 1]. False when nothing was
 * learnt since the look before. */
static bool look_bound(const struct ledger_model *m, const struct ledger_policy *p, unsigned other,
                       double information, double margin, int64_t alpha, double *bound)
{
    double times[LEDGER_LOOKS_MAX], bounds[LEDGER_LOOKS_MAX];
    double share = (double)alpha / (double)AACP_MICRO;
    double reach = share > 0.0 ? (normal_isf(share) + normal_isf(1.0 - POWER)) / margin : 1.0;
    size_t k = 0;
    for (unsigned look = 0; look < m->looks; look++)
        for (unsigned c = 0; c < m->look[look].count; c++)
            if (m->look[look].against[c] == other)
                times[k++] = m->look[look].information[c] / (reach * reach);
    double now = information / (reach * reach);
    if (k > 0 && !(now > times[k - 1]))
        return false;
    if (m->looks + 1 == p->max_wait && now < 1.0)
        now = 1.0;
    times[k++] = now;
    *bound = NO_ALPHA_BOUND;
    if (alpha > 0 &&
        sequential_bounds(k, times, share, SPEND_POWER, 1.0, GRID_STEP, bounds) == STAT_OK)
        *bound = bounds[k - 1];
    return true;
}

/* A look under way. */
struct looking {
    struct family_ledger *l;
    unsigned j;
    const struct ledger_event *event;
    const bool *use;
    struct ledger_look look;
    bool approved, beats;
    unsigned worst;      /* the comparison that decided */
    double worst_room;   /* its distance to the bound, in standard errors */
    const char *stopped; /* why it is no look, or NULL */
};

/* Distance of d from -margin in standard errors less the bound; false when it is no look. */
static bool room_of(struct looking *s, unsigned i, double d, double se, int64_t alpha,
                    double margin, double *room)
{
    double bound;
    double information = s->look.information[s->look.count - 1];
    if (!look_bound(&s->l->model[s->j], &s->l->policy, i, information, s->event->margin, alpha,
                    &bound)) {
        s->stopped = "nothing new was learnt since its last look";
        return false;
    }
    *room = se > 0.0 ? (d + margin) / se - bound : d + margin;
    return true;
}

static void compare_one(struct looking *s, unsigned i)
{
    const struct ledger_model *m = &s->l->model[s->j];
    double d, se, room;
    if (!s->event->compare(s->event->context, s->l->model[i].hash, s->use, &d, &se) ||
        !isfinite(d) || !(se >= 0.0)) {
        s->stopped = "it was not compared with every model that it must not be worse than";
        return;
    }
    s->look.against[s->look.count] = i;
    s->look.information[s->look.count++] = 1.0 / fmax(se * se, 1.0 / INFORMATION_MAX);
    if (for_approval(s->l, s->j, i)) {
        if (!room_of(s, i, d, se, m->alpha, s->event->margin, &room))
            return;
        s->approved = s->approved && room > 0.0;
        if (room < s->worst_room) {
            s->worst_room = room;
            s->worst = i;
        }
    }
    if (for_benchmark(s->l, s->j, i) && room_of(s, i, d, se, m->bench_alpha, 0.0, &room))
        s->beats = s->beats && room > 0.0;
}

static void take_look(struct family_ledger *l, unsigned j, const struct ledger_event *event,
                      const bool *use, struct ledger_answer *answer)
{
    unsigned against[LEDGER_COMPARATORS_MAX];
    struct ledger_model *m = &l->model[j];
    size_t n = comparators(l, j, against);
    struct looking s = {.l = l,
                        .j = j,
                        .event = event,
                        .use = use,
                        .approved = true,
                        .beats = l->policy.kind == ALPHA_BABR,
                        .worst_room = HUGE_VAL};
    if (n == 0 || n > LEDGER_COMPARATORS_MAX)
        s.stopped = n == 0 ? "there is nothing to compare it with"
                           : "it must not be worse than more models than one evaluation holds";
    for (size_t k = 0; k < n && !s.stopped; k++)
        compare_one(&s, against[k]);
    if (s.stopped) {
        snprintf(answer->detail, sizeof answer->detail, "model %u of the ledger: %s", j, s.stopped);
        return;
    }
    m->look[m->looks++] = s.look;
    m->beats_benchmark = m->beats_benchmark || s.beats;
    answer->looked = true;
    answer->rule.approved = s.approved;
    snprintf(answer->detail, sizeof answer->detail,
             "model %u of the ledger, look %u of %u on patients after its submission, against %zu "
             "models; closest to its bound against model %u (%+.2f standard errors)%s",
             j, m->looks, l->policy.max_wait, n, s.worst, s.worst_room,
             s.beats ? "; it beats the benchmark" : "");
}

static struct result submit(struct family_ledger *l, bool bench_moved,
                            const struct ledger_event *event, struct ledger_answer *answer,
                            struct why *why)
{
    int64_t alpha = 0, bench = 0;
    size_t dated = 0;
    TRY(next_alphas(l, &l->policy, bench_moved, &alpha, &bench, why));
    answer->index = l->models;
    struct ledger_model *m = add_model(l, event->candidate);
    m->alpha = alpha;
    m->bench_alpha = bench;
    m->bench_new = bench_moved;
    l->spent += alpha;
    for (size_t i = 0; i < event->n_reports; i++) {
        unsigned place = site_place(l, event->reports[i].site);
        if (place < LEDGER_SITES_MAX)
            m->epoch[place] = event->reports[i].epoch;
        dated += event->reports[i].epoch > 0;
    }
    answer->submitted = true;
    answer->static_holdout = dated < event->quorum;
    answer->rule.alpha = alpha;
    snprintf(answer->detail, sizeof answer->detail,
             "submitted as model %u; it is judged on holdout epochs that begin after this one, at "
             "most %u times%s",
             answer->index, l->policy.max_wait,
             dated < event->quorum ? " (static holdout reused: too few sites date their epochs)"
                                   : "");
    return DONE;
}

static struct result judge_looks(struct family_ledger *l, bool bench_moved,
                                 const struct ledger_event *event, struct ledger_answer *answer,
                                 struct why *why)
{
    bool use[LEDGER_SITES_MAX];
    unsigned j = find_model(l, event->candidate);
    if (j == l->models)
        return submit(l, bench_moved, event, answer, why);
    const struct ledger_model *m = &l->model[j];
    answer->index = j;
    answer->rule.alpha = m->alpha;
    size_t fresh = new_epochs(l, m, event, use);
    if (m->looks >= l->policy.max_wait) {
        snprintf(answer->detail, sizeof answer->detail,
                 "model %u of the ledger: its %u looks are used up; train another", j, m->looks);
    } else if (fresh < event->quorum) {
        answer->static_holdout = true;
        snprintf(answer->detail, sizeof answer->detail,
                 "model %u of the ledger: static holdout reused: %zu of %zu sites judged it on "
                 "patients of epochs after its submission, %zu are needed",
                 j, fresh, event->n_reports, event->quorum);
    } else {
        take_look(l, j, event, use, answer);
    }
    return DONE;
}

/* Whether something was judged before, and no site has a newer epoch than it had in any of that. */
static bool reused(const struct family_ledger *l, const struct ledger_event *event)
{
    bool earlier = false;
    for (unsigned i = 0; i < l->models; i++)
        earlier = earlier || l->model[i].looks > 0;
    for (size_t k = 0; k < event->n_reports; k++) {
        uint64_t last = 0;
        for (unsigned i = 0; i < l->models; i++) {
            uint64_t then = epoch_then(l, &l->model[i], event->reports[k].site);
            last = then > last ? then : last;
        }
        if (event->reports[k].epoch > last)
            return false;
    }
    return earlier;
}

/* fixed and reset: one test of the pooled difference, by the gate itself. */
static void judge_once(struct family_ledger *l, const struct ledger_event *event,
                       struct ledger_answer *answer)
{
    struct alpha_ledger a = {.policy = l->policy.kind,
                             .total = l->policy.alpha_total,
                             .spent = l->spent,
                             .tries = l->tries};
    answer->static_holdout = reused(l, event);
    answer->rule = alpha_ledger_rule(&a);
    alpha_ledger_charge(&a, false);
    l->spent = a.spent;
    l->tries = a.tries;
    unsigned j = find_model(l, event->candidate);
    struct ledger_model *m = j == l->models ? add_model(l, event->candidate) : &l->model[j];
    m->alpha += answer->rule.alpha;
    m->looks = 1;
    for (size_t i = 0; i < event->n_reports; i++) {
        unsigned place = site_place(l, event->reports[i].site);
        if (place < LEDGER_SITES_MAX)
            m->epoch[place] = event->reports[i].epoch;
    }
    answer->index = j;
    snprintf(answer->detail, sizeof answer->detail,
             "judgement %u of this budget, %.6f of %.6f used%s", l->tries, (double)l->spent / 1e6,
             (double)l->policy.alpha_total / 1e6,
             answer->static_holdout ? "; static holdout reused" : "");
}

struct result family_ledger_judge(struct family_ledger *l, const struct ledger_policy *policy,
                                  const struct ledger_event *event, struct ledger_answer *answer,
                                  struct why *why)
{
    bool bench_moved = false;
    memset(answer, 0, sizeof *answer);
    TRY(ledger_policy_check(policy, why));
    if (event->n_reports > LEDGER_SITES_MAX)
        return failed(why, RESULT_INPUT, "the ledger takes at most %d sites", LEDGER_SITES_MAX);
    if (l->models + 2 > LEDGER_MODELS_MAX && same_policy(&l->policy, policy))
        return failed(why, RESULT_INPUT,
                      "the alpha ledger is full at %u models: begin a new one by a new policy",
                      l->models);
    if (!same_policy(&l->policy, policy)) {
        memset(l, 0, sizeof *l);
        l->policy = *policy;
    }
    note_in_use(l, event->incumbent, &bench_moved);
    answer->rule.used = true;
    answer->rule.policy = alpha_policy_name(policy->kind);
    if (by_looks(policy->kind))
        TRY(judge_looks(l, bench_moved, event, answer, why));
    else
        judge_once(l, event, answer);
    answer->rule.detail = answer->detail;
    return DONE;
}

int64_t family_ledger_next(const struct family_ledger *l, const struct ledger_policy *policy)
{
    int64_t alpha = 0, bench = 0;
    struct why why;
    CLEANUP(free_pointer) struct family_ledger *fresh = NULL;
    if (!same_policy(&l->policy, policy)) {
        fresh = calloc(1, sizeof *fresh);
        if (!fresh)
            return 0;
        l = fresh;
    }
    if (by_looks(policy->kind))
        return ok(next_alphas(l, policy, false, &alpha, &bench, &why)) ? alpha : 0;
    struct alpha_ledger a = {.policy = policy->kind,
                             .total = policy->alpha_total,
                             .spent = l->spent,
                             .tries = l->tries};
    return alpha_ledger_next(&a);
}
