/* SPDX-License-Identifier: Apache-2.0 */
/* aACP-BAC and aACP-BABR (Feng, Emerson and Simon, Biometrics 2021) as a state machine.
 *
 * At batch t every model 0..t-1 is scored on the new batch only; then a candidate j may be
 * approved; then model t is submitted with its alpha. A comparison (j,i) uses batches j+1..t only.
 *
 * Invariants:
 *  1. history, benchmark and benchmark_new have `decisions` entries, alpha and bounds t + 1.
 *  2. A candidate is looked at on batches j+1 .. j+max_wait, once each, against its k-th bound.
 *  3. The sequence of comparators of j is fixed by what was approved when j was submitted and
 * since: it never depends on data that come later (gate-keeping).
 *  4. Every alpha is a multiple of 1/1000. */
#include "coordinator/validate/aacp.h"

#include "linalg/stats/sequential.h"

#include <math.h>
#include <string.h>

static const int64_t THOUSANDTH = AACP_MICRO / 1000;
static const double NO_ALPHA_BOUND = 8.0;
static const double GRID_STEP = 0.04;

struct result aacp_init(struct aacp *a, const struct aacp_policy *p, struct why *why)
{
    if (p->alpha_total <= 0 || p->alpha_total >= AACP_MICRO || p->alpha_cap < 0 ||
        p->alpha_cap > AACP_MICRO)
        return failed(why, RESULT_INPUT, "the gate's total alpha must lie between 0 and 1");
    if (p->window == 0 || p->window > AACP_MODELS_MAX || p->max_wait == 0 ||
        2 * (uint64_t)p->max_wait > AACP_LOOKS_MAX)
        return failed(why, RESULT_INPUT, "window must be 1..%d and max_wait 1..%d", AACP_MODELS_MAX,
                      AACP_LOOKS_MAX / 2);
    if (p->endpoints == 0 || p->endpoints > AACP_ENDPOINTS_MAX || !isfinite(p->margin))
        return failed(why, RESULT_INPUT, "one or two endpoints, and a finite margin");
    if (p->use_factor <= 0 || p->use_factor > 1000 * AACP_MICRO || p->denom_min < 0 ||
        p->denom_min > 1000 * AACP_MICRO)
        return failed(why, RESULT_INPUT, "use_factor and denom_min must lie between 0 and 1000");
    memset(a, 0, sizeof *a);
    a->policy = *p;
    a->decisions = 1;
    a->benchmark_new[0] = true;
    a->boundaries = 1; /* boundary 0: no looks, for model 0 */
    return DONE;
}

/* Looks of model j: wait, or fewer near the horizon. */
static unsigned looks_of(const struct aacp_policy *p, unsigned j, unsigned wait)
{
    if (p->horizon == 0)
        return wait;
    unsigned left = p->horizon > j + 1 ? p->horizon - 1 - j : 0;
    return left < wait ? left : wait;
}

/* Index of the boundary for (looks, alpha), computed once. */
static struct result find_boundary(struct aacp *a, unsigned looks, int64_t alpha, uint16_t *index,
                                   struct why *why)
{
    for (size_t i = 0; i < a->boundaries; i++) {
        if (a->boundary[i].bounds.looks == looks && (a->boundary[i].alpha == alpha || looks == 0)) {
            *index = (uint16_t)i;
            return DONE;
        }
    }
    if (a->boundaries == AACP_BOUNDS_CACHE)
        return failed(why, RESULT_INPUT, "more than %d different boundaries", AACP_BOUNDS_CACHE);
    struct aacp_boundary *fresh = &a->boundary[a->boundaries];
    fresh->alpha = alpha;
    fresh->bounds.looks = looks;
    double share = (double)alpha / (double)AACP_MICRO;
    if (a->policy.endpoints > 1)
        share = 1.0 - sqrt(1.0 - share);
    double times[AACP_LOOKS_MAX];
    for (unsigned k = 0; k < looks; k++) {
        times[k] = (double)(k + 1) / (double)looks;
        fresh->bounds.bound[k] = NO_ALPHA_BOUND;
    }
    if (alpha > 0 && sequential_bounds(looks, times, share, SPEND_POWER, 1.0, GRID_STEP,
                                       fresh->bounds.bound) != STAT_OK)
        return failed(why, RESULT_SYSTEM, "cannot compute the bounds of %u looks", looks);
    *index = (uint16_t)a->boundaries++;
    return DONE;
}

const struct aacp_bounds *aacp_bounds_of(const struct aacp *a, unsigned j, bool bench)
{
    return &a->boundary[bench ? a->bench_bounds_of[j] : a->bounds_of[j]].bounds;
}

/* Benchmarks set in the last w decisions. */
static int64_t recent_benchmarks(const struct aacp *a, unsigned w)
{
    int64_t count = 0;
    for (unsigned k = a->decisions > w ? a->decisions - w : 0; k < a->decisions; k++)
        count += a->benchmark_new[k];
    return count;
}

/* Alpha left over the last w decisions: alpha (denom_min + benchmarks) - sum of the last wait + w.
 */
static int64_t room_exact(const struct aacp *a, const int64_t *alpha, unsigned j, unsigned wait,
                          unsigned w)
{
    int64_t denominator = a->policy.denom_min + recent_benchmarks(a, w) * AACP_MICRO;
    int64_t spent = 0;
    for (unsigned k = j > wait + w ? j - wait - w : 0; k < j; k++)
        spent += alpha[k];
    return a->policy.alpha_total * denominator / AACP_MICRO - spent;
}

/* Sum in the order of an eightfold unrolled loop, which the published figures were computed with.
 */
static double sum_unrolled(size_t n, const int64_t *micro)
{
    double lane[8];
    double sum = 0.0;
    size_t i = 0;
    if (n >= 8) {
        for (; i < 8; i++)
            lane[i] = (double)micro[i] / (double)AACP_MICRO;
        for (; i + 8 <= n; i += 8) {
            for (size_t k = 0; k < 8; k++)
                lane[k] += (double)micro[i + k] / (double)AACP_MICRO;
        }
        sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
              ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    }
    for (; i < n; i++)
        sum += (double)micro[i] / (double)AACP_MICRO;
    return sum;
}

static double room_published(const struct aacp *a, const int64_t *alpha, unsigned j, unsigned wait,
                             unsigned w)
{
    double denominator = (double)a->policy.denom_min / (double)AACP_MICRO;
    denominator += (double)recent_benchmarks(a, w);
    unsigned first = j > wait + w ? j - wait - w : 0;
    return (double)a->policy.alpha_total / (double)AACP_MICRO * denominator -
           sum_unrolled(j - first, alpha + first);
}

/* The alpha that each window allows model j; the smallest counts. */
static double share_published(const struct aacp *a, const int64_t *alpha, unsigned j, unsigned wait,
                              unsigned windows)
{
    unsigned total = a->policy.window;
    double least = room_published(a, alpha, j, wait, 0) / (double)(wait + total) *
                   ((double)a->policy.use_factor / (double)AACP_MICRO);
    for (unsigned w = 1; w < windows; w++) {
        double room = room_published(a, alpha, j, wait, w);
        double share = w < total * 0.7 ? room * 0.5 : room / (double)(total + 1 - w);
        least = fmin(least, share);
    }
    return least;
}

static int64_t share_exact(const struct aacp *a, const int64_t *alpha, unsigned j, unsigned wait,
                           unsigned windows)
{
    unsigned total = a->policy.window;
    int64_t whole = room_exact(a, alpha, j, wait, 0) * a->policy.use_factor;
    int64_t least = whole / ((int64_t)(wait + total) * AACP_MICRO);
    for (unsigned w = 1; w < windows; w++) {
        int64_t room = room_exact(a, alpha, j, wait, w);
        int64_t share = 10 * w < 7 * total ? room / 2 : room / (int64_t)(total + 1 - w);
        least = share < least ? share : least;
    }
    return least;
}

int64_t aacp_next_alpha(const struct aacp *a, unsigned j, bool bench)
{
    const struct aacp_policy *p = &a->policy;
    int64_t share;
    if (p->kind == AACP_BAC) {
        if (bench)
            return 0;
        double parts = (double)(p->window + p->max_wait);
        share = p->arithmetic == AACP_EXACT
                    ? p->alpha_total / (int64_t)(p->window + p->max_wait) / THOUSANDTH
                    : (int64_t)((double)p->alpha_total / (double)AACP_MICRO / parts * 1000.0);
        return share * THOUSANDTH;
    }
    unsigned wait = bench ? 2 * p->max_wait : p->max_wait;
    const int64_t *alpha = bench ? a->bench_alpha : a->alpha;
    unsigned windows = j + p->window / 2; /* one past the last, plus one */
    windows = windows > p->window + 1 ? p->window : windows - 1;
    if (p->arithmetic == AACP_EXACT) {
        share = share_exact(a, alpha, j, wait, windows);
        share = (share < p->alpha_cap ? share : p->alpha_cap) / THOUSANDTH;
    } else {
        double cap = (double)p->alpha_cap / (double)AACP_MICRO;
        share = (int64_t)(fmin(share_published(a, alpha, j, wait, windows), cap) * 1000.0);
    }
    return share > 0 ? share * THOUSANDTH : 0;
}

/* The bound of model j at batch t, +inf once its looks are used up. */
static double current_bound(const struct aacp *a, unsigned j, unsigned t, bool bench)
{
    const struct aacp_bounds *b = aacp_bounds_of(a, j, bench);
    unsigned look = t - j - 1;
    return look < b->looks ? b->bound[look] : (double)INFINITY;
}

struct comparing {
    aacp_compare *compare;
    void *context;
};

/* Not worse than i by the margin on any endpoint, nor worse on all of two. */
static bool not_worse(const struct aacp *a, const struct comparing *c, unsigned j, unsigned i,
                      double bound)
{
    double d[AACP_ENDPOINTS_MAX];
    double se[AACP_ENDPOINTS_MAX];
    if (!c->compare(c->context, j, i, d, se))
        return false;
    bool all_below = true;
    for (unsigned e = 0; e < a->policy.endpoints; e++) {
        double lower = d[e] - bound * se[e];
        if (!(lower > -a->policy.margin))
            return false;
        all_below = all_below && lower < 0.0;
    }
    return a->policy.endpoints == 1 || !all_below;
}

static bool approvable(const struct aacp *a, const struct comparing *c, unsigned j, unsigned t)
{
    double bound = current_bound(a, j, t, false);
    if (isinf(bound))
        return false;
    for (unsigned k = 0; k + 1 < j; k++) {
        if (!not_worse(a, c, j, a->history[k], bound))
            return false;
    }
    for (unsigned i = a->history[j - 1]; i <= a->history[a->decisions - 1]; i++) {
        if (!not_worse(a, c, j, i, bound))
            return false;
    }
    return true;
}

static bool beats_benchmark(const struct aacp *a, const struct comparing *c, unsigned j, unsigned t)
{
    double bound = current_bound(a, j, t, true);
    if (isinf(bound))
        return false;
    for (unsigned i = a->benchmark[j - 1]; i <= a->benchmark[a->decisions - 1]; i++) {
        double d[AACP_ENDPOINTS_MAX];
        double se[AACP_ENDPOINTS_MAX];
        if (!c->compare(c->context, j, i, d, se))
            return false;
        for (unsigned e = 0; e < a->policy.endpoints; e++) {
            if (!(d[e] - bound * se[e] > 0.0))
                return false;
        }
    }
    return true;
}

/* The newest passing candidate, or the current model. */
static unsigned decide_approval(const struct aacp *a, const struct comparing *c, unsigned t)
{
    unsigned current = a->history[a->decisions - 1];
    unsigned oldest = t > a->policy.max_wait ? t - a->policy.max_wait : 0;
    for (unsigned j = t - 1; j > current && j >= oldest; j--) {
        if (approvable(a, c, j, t))
            return j;
    }
    return current;
}

/* The oldest approved model newer than the benchmark that beats it, or the benchmark. */
static unsigned decide_benchmark(const struct aacp *a, const struct comparing *c, unsigned t,
                                 unsigned approved)
{
    unsigned current = a->benchmark[a->decisions - 1];
    unsigned tried = current; /* approvals only ever move forward */
    for (unsigned k = 0; k <= a->decisions; k++) {
        unsigned j = k < a->decisions ? a->history[k] : approved;
        if (j <= tried)
            continue;
        if (beats_benchmark(a, c, j, t))
            return j;
        tried = j;
    }
    return current;
}

static struct result submit(struct aacp *a, unsigned j, struct why *why)
{
    const struct aacp_policy *p = &a->policy;
    a->alpha[j] = aacp_next_alpha(a, j, false);
    TRY(find_boundary(a, looks_of(p, j, p->max_wait), a->alpha[j], &a->bounds_of[j], why));
    if (p->kind != AACP_BABR)
        return DONE;
    a->bench_alpha[j] = aacp_next_alpha(a, j, true);
    return find_boundary(a, looks_of(p, j, 2 * p->max_wait), a->bench_alpha[j],
                         &a->bench_bounds_of[j], why);
}

struct result aacp_step(struct aacp *a, aacp_compare *compare, void *context,
                        struct aacp_step *step, struct why *why)
{
    unsigned t = a->t + 1;
    if (t >= AACP_MODELS_MAX)
        return failed(why, RESULT_INPUT, "the ledger holds at most %d models: start a new one",
                      AACP_MODELS_MAX);
    const struct comparing c = {compare, context};
    unsigned before = a->decisions;
    unsigned last = before - 1;
    *step = (struct aacp_step){
        .t = t,
        .approved = a->history[last],
        .benchmark = a->benchmark[last],
    };
    if (t > 1) {
        step->approved = decide_approval(a, &c, t);
        step->newly_approved = step->approved != a->history[last];
        if (a->policy.kind == AACP_BABR)
            step->benchmark = decide_benchmark(a, &c, t, step->approved);
        step->benchmark_moved = step->benchmark != a->benchmark[last];
        a->history[before] = step->approved;
        a->benchmark[before] = step->benchmark;
        a->benchmark_new[before] = step->benchmark_moved;
        a->decisions++;
    }
    struct result r = submit(a, t, why);
    if (!ok(r)) {
        a->decisions = before;
        return r;
    }
    a->t = t;
    return DONE;
}
