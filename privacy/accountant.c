/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the grid, composes both directions, and reports the worse one beside the Renyi bound. */
#include "privacy/accountant.h"

#include "privacy/fft.h"
#include "privacy/normal.h"
#include "privacy/pld_sum.h"
#include "privacy/rdp.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* The automatic grid is at most GRID_LARGEST, or a hundred-thousandth of epsilon; GRID_PROBE is
 * where the search for it starts. A list of more than CROWD different mechanisms, each of which
 * costs a transform, may have a grid wider by the root of how many times CROWD they are, up to
 * CROWD_MOST: epsilon is then high by up to that many times ACCURACY. */
static const double GRID_LARGEST = 1e-4, GRID_PROBE = 1e-3;
static const double ACCURACY = 1e-5;
static const double CUT_FIRST = 1e-12, CUT_SECOND = 1e-18, DOUBT_MAX = 1e-8;
enum { GRID_TRIES = 16, CROWD = 16, CROWD_MOST = 16, COARSE_LEAST = 256 };

/* The events of one query: full-batch Gaussians merged into one. */
struct query {
    struct privacy_event *events; /* [count], owned */
    size_t count;
    enum privacy_adjacency adjacency;
    struct pld_goal goal;
    double tail; /* mass cut off at each end of one run */
    double accuracy;
    double crowd; /* in [1, CROWD_MOST] */
};

/* Both directions on one grid. */
struct grids {
    double grid;
    size_t count; /* parts a direction */
    int directions;
    struct pld_part *parts[2]; /* [count], owned with their distributions */
    struct pld_tilt tilt[2];
};

const char *accountant_text(enum accountant_result result)
{
    switch (result) {
    case ACCOUNTANT_OK:
        return "ok";
    case ACCOUNTANT_BAD_INPUT:
        return "an event, delta or epsilon is outside its range";
    case ACCOUNTANT_NO_MEMORY:
        return "out of memory";
    case ACCOUNTANT_TOO_LARGE:
        return "these events need more grid points than the memory bound allows";
    case ACCOUNTANT_UNREACHABLE:
        return "no noise multiplier meets this target: the other events alone exceed it";
    }
    return "unknown";
}

/* sensitivity / standard deviation of all full-batch Gaussians together: they compose to one with
 * 1/s^2 = sum T_i / s_i^2. 0 when there are none. */
static double full_batch_mu(const struct event_list *list)
{
    double sum = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct privacy_event *e = &list->events[i];
        if (e->kind == EVENT_GAUSSIAN && e->q >= 1)
            sum += (double)e->steps / (e->noise * e->noise);
    }
    return sqrt(sum);
}

static int query_init(struct query *query, const struct event_list *list,
                      const struct accountant_options *options)
{
    *query = (struct query){.adjacency = options->adjacency,
                            .accuracy = options->accuracy > 0 ? options->accuracy : ACCURACY};
    query->events = calloc(list->count, sizeof *query->events);
    if (!query->events)
        return -1;
    double mu = full_batch_mu(list);
    if (mu > 0)
        query->events[query->count++] =
            (struct privacy_event){.kind = EVENT_GAUSSIAN, .q = 1, .noise = 1 / mu, .steps = 1};
    for (size_t i = 0; i < list->count; i++) {
        if (list->events[i].kind != EVENT_GAUSSIAN || list->events[i].q < 1)
            query->events[query->count++] = list->events[i];
    }
    query->crowd = fmin(fmax((double)query->count / CROWD, 1), CROWD_MOST);
    if (!(options->accuracy > 0))
        query->accuracy *= query->crowd;
    return 0;
}

static double total_steps(const struct query *query)
{
    double sum = 0;
    for (size_t i = 0; i < query->count; i++)
        sum += (double)query->events[i].steps;
    return sum;
}

static void grids_free(struct grids *g)
{
    for (int d = 0; d < g->directions; d++) {
        for (size_t i = 0; g->parts[d] && i < g->count; i++) {
            if (g->parts[d][i].pld)
                pld_free(g->parts[d][i].pld);
            free(g->parts[d][i].pld);
        }
        free(g->parts[d]);
    }
    *g = (struct grids){0};
}

static enum pld_result add_part(struct pld_part *part, const struct pld_bins *bins, double runs,
                                enum pld_direction direction, size_t coarse)
{
    part->runs = runs;
    part->pld = calloc(1, sizeof *part->pld);
    if (!part->pld)
        return PLD_NO_MEMORY;
    return pld_connect(part->pld, bins, direction, coarse);
}

static enum pld_result grids_init(struct grids *g, const struct query *query, double grid)
{
    *g = (struct grids){.grid = grid, .count = query->count};
    g->directions = query->adjacency == ADJACENCY_REPLACE ? 1 : 2;
    for (int d = 0; d < g->directions; d++) {
        g->parts[d] = calloc(query->count, sizeof *g->parts[d]);
        if (!g->parts[d])
            return PLD_NO_MEMORY;
    }
    enum pld_result rc = PLD_OK;
    size_t points = 0, coarse = (size_t)CROWD * PLD_COARSE / query->count;
    coarse = coarse > PLD_COARSE ? PLD_COARSE : coarse < COARSE_LEAST ? COARSE_LEAST : coarse;
    for (size_t i = 0; i < query->count && rc == PLD_OK; i++) {
        struct pld_bins bins;
        double runs;
        rc = pld_bins_init(&bins, &query->events[i], query->adjacency, grid, query->tail, &runs);
        points += bins.count;
        if (points > 2 * PLD_POINTS_MAX)
            rc = PLD_TOO_FINE;
        for (int d = 0; d < g->directions && rc == PLD_OK; d++)
            rc = add_part(&g->parts[d][i], &bins, runs, d == 0 ? PLD_REMOVE : PLD_ADD, coarse);
        pld_bins_free(&bins);
    }
    if (rc != PLD_OK)
        return rc;
    for (int d = 0; d < g->directions; d++) {
        pld_tilt_find(&g->tilt[d], g->parts[d], g->count, &query->goal);
        if (!((g->tilt[d].high - g->tilt[d].low) / grid < PLD_POINTS_MAX - 4))
            rc = PLD_TOO_FINE;
    }
    return rc;
}

/* The grid that meets the error allowed, as these grids foresee it. */
static double wanted_grid(const struct grids *g, const struct query *query)
{
    double grid = ACCOUNTANT_GRID_MAX, points = 0, range = 0, worst = g->tilt[0].chernoff;
    if (g->directions == 2)
        worst = fmax(worst, g->tilt[1].chernoff);
    double epsilon = query->goal.at_delta ? fmax(worst, 0) : query->goal.value;
    for (int d = 0; d < g->directions; d++) {
        const struct pld_tilt *t = &g->tilt[d];
        /* A direction that is well below the other needs less accuracy. */
        double allowed = query->accuracy * epsilon + 1e-7 + (worst - t->chernoff) / 4;
        if (!query->goal.at_delta) /* d ln delta = theta d epsilon */
            allowed = query->accuracy * exp(fmin(worst - t->chernoff, 50)) / fmax(t->theta, 1e-3);
        double largest = fmax(GRID_LARGEST, 1e-5 * epsilon) * sqrt(query->crowd);
        double fine = g->grid * sqrt(allowed / fmax(t->error, 1e-300));
        grid = fmin(grid, fmin(largest, fine));
        range = fmax(range, t->high - t->low);
    }
    for (size_t i = 0; i < g->count; i++)
        points += (double)g->parts[0][i].pld->count;
    return fmax(grid, fmax(range, points * g->grid / 2) / (0.9 * PLD_POINTS_MAX));
}

/* Builds the grids: of the given width, or probing with a coarse one and going on until the
 * estimated error is small; coarser where the memory bound asks for it. */
static enum pld_result choose_grids(struct grids *g, const struct query *query, double given)
{
    double grid = given > 0 ? given : GRID_PROBE;
    bool settled = given > 0;
    enum pld_result rc = PLD_TOO_FINE;
    for (int i = 0; i < GRID_TRIES && grid <= ACCOUNTANT_GRID_MAX; i++) {
        rc = grids_init(g, query, grid);
        if (rc == PLD_NO_MEMORY || (rc == PLD_OK && settled))
            break;
        double next = 3 * grid;
        if (rc == PLD_OK) {
            next = fmax(wanted_grid(g, query), grid / 50);
            if (next >= 0.9 * grid || i + 1 == GRID_TRIES)
                break;
        } else if (i > 0 || given > 0) {
            settled = true;
        }
        grids_free(g);
        grid = next;
    }
    if (rc != PLD_OK)
        grids_free(g);
    return rc;
}

/* One composition's bracket; *doubt becomes the share of delta that wrapping and rounding may have
 * added. */
static enum pld_result compose(const struct grids *g, int d, const struct pld_tilt *tilt,
                               bool at_delta, double value, struct fft_plan *plan,
                               struct accountant_bound *ret, double *doubt)
{
    struct pld_sum sum;
    enum pld_result rc = pld_sum_init(&sum, g->parts[d], g->count, tilt, plan);
    if (rc != PLD_OK)
        return rc;
    if (at_delta) {
        ret->upper = pld_sum_epsilon(&sum, value, &ret->lower);
        *doubt = isfinite(ret->upper) ? pld_sum_doubt(&sum, ret->upper) / value : 0;
    } else {
        ret->upper = pld_sum_delta(&sum, value, &ret->lower);
        *doubt = ret->upper > 0 ? pld_sum_doubt(&sum, value) / ret->upper : 0;
    }
    pld_sum_free(&sum);
    return PLD_OK;
}

/* Of all steps together, where it is finite: no delta is left beyond but the infinite mass. */
static double greatest_loss(const struct grids *g, int d)
{
    double sum = 0;
    for (size_t i = 0; i < g->count; i++) {
        const struct pld *pld = g->parts[d][i].pld;
        sum += g->parts[d][i].runs * (double)(pld->low + (long)pld->count - 1) * pld->grid;
    }
    return sum;
}

static double infinite_mass(const struct grids *g, int d)
{
    double log_finite = 0;
    for (size_t i = 0; i < g->count; i++)
        log_finite += g->parts[d][i].runs * log1p(-fmin(g->parts[d][i].pld->infinite, 1));
    return -expm1(log_finite);
}

/* One direction's bracket. The tilt is first chosen for the Chernoff bound and a range that leaves
 * out CUT_FIRST; where that shows in the answer, a second tilt centred on the answer, over a wider
 * range, settles it. */
static enum pld_result ask(const struct grids *g, int d, const struct query *query, double value,
                           struct fft_plan *plan, struct accountant_bound *ret)
{
    bool at_delta = query->goal.at_delta;
    double doubt;
    if (!at_delta && value >= greatest_loss(g, d)) {
        *ret = (struct accountant_bound){.upper = infinite_mass(g, d)};
        return PLD_OK;
    }
    enum pld_result rc = compose(g, d, &g->tilt[d], at_delta, value, plan, ret, &doubt);
    if (rc != PLD_OK || doubt < DOUBT_MAX)
        return rc;
    struct pld_tilt tilt;
    struct accountant_bound again;
    const struct pld_goal centred = {.value = at_delta ? ret->upper : value, .cut = CUT_SECOND};
    pld_tilt_find(&tilt, g->parts[d], g->count, &centred);
    if (compose(g, d, &tilt, at_delta, value, plan, &again, &doubt) == PLD_OK) {
        ret->upper = fmin(ret->upper, again.upper);
        ret->lower = fmax(ret->lower, again.lower);
    }
    return PLD_OK;
}

/* The worse direction of each bound. */
static enum pld_result answer(const struct grids *g, const struct query *query, double value,
                              struct accountant_bound *ret)
{
    struct fft_plan plan = {0};
    enum pld_result rc = PLD_OK;
    ret->upper = ret->lower = 0;
    ret->grid = g->grid;
    for (int d = 0; d < g->directions && rc == PLD_OK; d++) {
        struct accountant_bound one = {0};
        rc = ask(g, d, query, value, &plan, &one);
        ret->upper = fmax(ret->upper, one.upper);
        ret->lower = fmax(ret->lower, one.lower);
    }
    fft_plan_free(&plan);
    return rc;
}

/* The distribution's bracket, tightened by the Renyi bound where the grid had to be coarse. */
static enum accountant_result bracket(struct query *query, double value, double given,
                                      struct accountant_bound *ret)
{
    struct grids g;
    enum pld_result rc = choose_grids(&g, query, given);
    if (rc == PLD_OK) {
        rc = answer(&g, query, value, ret);
        grids_free(&g);
    }
    if (rc == PLD_NO_MEMORY)
        return ACCOUNTANT_NO_MEMORY;
    if (rc != PLD_OK) {
        if (isnan(ret->renyi))
            return ACCOUNTANT_TOO_LARGE;
        ret->upper = ret->renyi;
        ret->lower = 0;
        ret->grid = 0;
        return ACCOUNTANT_OK;
    }
    if (ret->renyi < ret->upper)
        ret->upper = ret->renyi;
    ret->lower = fmin(ret->lower, ret->upper);
    return ACCOUNTANT_OK;
}

/* Nothing but full batches: the closed form. */
static bool only_full_batch(const struct query *query)
{
    return query->count == 1 && query->events[0].kind == EVENT_GAUSSIAN && query->events[0].q >= 1;
}

static double full_batch_scale(const struct query *query)
{
    return (query->adjacency == ADJACENCY_REPLACE ? 2 : 1) / query->events[0].noise;
}

static const struct accountant_options DEFAULTS = {.adjacency = ADJACENCY_ADD_REMOVE};

static bool bad_options(const struct accountant_options *options)
{
    if (!(options->accuracy == 0 || (options->accuracy >= 1e-9 && options->accuracy <= 1)))
        return true;
    return !(options->grid == 0 || (options->grid >= 1e-9 && options->grid <= ACCOUNTANT_GRID_MAX));
}

enum accountant_result accountant_epsilon(const struct event_list *events, double delta,
                                          const struct accountant_options *options,
                                          struct accountant_bound *ret)
{
    char error[EVENT_ERROR_MAX];
    options = options ? options : &DEFAULTS;
    *ret = (struct accountant_bound){.renyi = NAN};
    if (event_list_check(events, error) != 0 || bad_options(options) ||
        !(delta >= ACCOUNTANT_DELTA_MIN && delta < 1))
        return ACCOUNTANT_BAD_INPUT;
    struct query query;
    if (query_init(&query, events, options) != 0)
        return ACCOUNTANT_NO_MEMORY;
    enum accountant_result rc = ACCOUNTANT_OK;
    ret->renyi = rdp_epsilon(events, options->adjacency, delta, NULL);
    if (only_full_batch(&query)) {
        ret->upper = fmin(normal_epsilon(full_batch_scale(&query), delta), ret->renyi);
        ret->lower = ret->upper * (1 - 4e-12);
    } else {
        query.goal = (struct pld_goal){.at_delta = true, .value = log(delta), .cut = CUT_FIRST};
        query.tail = fmax(delta * 1e-6 / total_steps(&query), 1e-300);
        rc = bracket(&query, delta, options->grid, ret);
    }
    free(query.events);
    return rc;
}

/* Whether the privacy loss has no greatest value, so that no delta is 0. */
static bool unbounded(const struct event_list *list)
{
    bool gaussian = false;
    for (size_t i = 0; i < list->count; i++)
        gaussian = gaussian || list->events[i].kind == EVENT_GAUSSIAN ||
                   list->events[i].kind == EVENT_TRUNCATED;
    return gaussian;
}

enum accountant_result accountant_delta(const struct event_list *events, double epsilon,
                                        const struct accountant_options *options,
                                        struct accountant_bound *ret)
{
    char error[EVENT_ERROR_MAX];
    options = options ? options : &DEFAULTS;
    *ret = (struct accountant_bound){.renyi = NAN};
    if (event_list_check(events, error) != 0 || bad_options(options) ||
        !(epsilon >= 0 && epsilon <= 1e9))
        return ACCOUNTANT_BAD_INPUT;
    struct query query;
    if (query_init(&query, events, options) != 0)
        return ACCOUNTANT_NO_MEMORY;
    enum accountant_result rc = ACCOUNTANT_OK;
    ret->renyi = rdp_delta(events, options->adjacency, epsilon);
    if (only_full_batch(&query)) {
        double mu = full_batch_scale(&query), delta = normal_delta(mu, epsilon);
        ret->upper = fmin(delta * (1 + 1e-11 + 1e-12 / fmin(mu, 1)), ret->renyi);
        ret->lower = fmin(delta * (1 - 1e-11 - 1e-12 / fmin(mu, 1)), ret->upper);
    } else {
        query.goal = (struct pld_goal){.at_delta = false, .value = epsilon, .cut = CUT_FIRST};
        /* The tails must be small beside the answer, but no smaller than need be: they carry the
         * tilt away from it. A first answer tells how small. */
        double steps = total_steps(&query);
        query.tail = 1e-30 / steps;
        rc = bracket(&query, epsilon, options->grid, ret);
        if (rc == ACCOUNTANT_OK && (ret->upper < 1e-20 || ret->upper > 1.5 * ret->lower)) {
            double least = fmax(ret->lower, 1e-60 * ret->upper), first = ret->upper;
            query.tail = fmin(fmax(least * 1e-6 / steps, 1e-300), 1e-6);
            rc = bracket(&query, epsilon, options->grid, ret);
            ret->upper = fmin(ret->upper, first);
            ret->lower = fmin(ret->lower, ret->upper);
        }
    }
    /* Below the smallest double: never rounded down to nothing. */
    if (rc == ACCOUNTANT_OK && !(ret->upper > 0) && unbounded(events)) {
        ret->upper = DBL_TRUE_MIN;
        ret->renyi = fmax(ret->renyi, ret->upper);
    }
    free(query.events);
    return rc;
}
