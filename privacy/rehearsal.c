/* SPDX-License-Identifier: Apache-2.0 */
/* One run of T releases with m canaries. Canary j, if in the data, has the gradient 10 C e_j before
 * clipping; the score is the log-likelihood ratio summed over the releases (canary.h), the bound
 * that of audit_bound.h. The silent coordinates give the noise's scale to a standard error of
 * 1/sqrt(2 n T). */
#include "privacy/rehearsal.h"

#include "privacy/canary.h"
#include "privacy/noise.h"
#include "privacy/release_grid.h"
#include "privacy/sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOUD 10.0 /* a canary's gradient over C before clipping */

struct buffers {
    bool *in;
    size_t *chosen;
    double *sum, *values, *score;
    int64_t *total, *noise;
};

static void buffers_free(struct buffers *b)
{
    free(b->in);
    free(b->chosen);
    free(b->sum);
    free(b->values);
    free(b->score);
    free(b->total);
    free(b->noise);
}

static bool buffers_alloc(struct buffers *b, size_t canaries, size_t d)
{
    b->in = calloc(canaries, sizeof *b->in);
    b->chosen = calloc(canaries, sizeof *b->chosen);
    b->sum = calloc(d, sizeof *b->sum);
    b->values = calloc(d, sizeof *b->values);
    b->score = calloc(canaries, sizeof *b->score);
    b->total = calloc(d, sizeof *b->total);
    b->noise = calloc(d, sizeof *b->noise);
    return b->in && b->chosen && b->sum && b->values && b->score && b->total && b->noise;
}

/* The noise that the (perhaps broken) mechanism adds, as a factor on the right one. */
static double noise_factor(const struct rehearsal_options *o)
{
    switch (o->fault) {
    case FAULT_NO_NOISE:
        return 0.0;
    case FAULT_QUARTER_NOISE:
        return 0.25;
    case FAULT_HALF_NOISE:
        return 0.5;
    case FAULT_UNSCALED_NOISE:
        return 1.0 / o->clip;
    case FAULT_NONE:
    case FAULT_NO_CLIPPING:
        break;
    }
    return 1.0;
}

/* Sums over the run, for the direct tests. */
struct tally {
    double squares;       /* of the silent coordinates, in units of (sigma C)^2 */
    double drawn, trials; /* canaries sampled, of those that could be */
    double largest;       /* contribution over C */
};

static void one_step(const struct rehearsal_options *o, const struct release_grid *grid,
                     const struct sampling *sampling, uint64_t step, struct rng *rng,
                     struct buffers *b, struct tally *tally)
{
    size_t d = o->canaries + REHEARSAL_SILENT;
    double gradient = LOUD * o->clip;
    double kept = o->fault == FAULT_NO_CLIPPING ? 1.0 : fmin(1.0, o->clip / gradient);
    memset(b->sum, 0, d * sizeof *b->sum);
    memset(b->total, 0, d * sizeof *b->total);
    size_t n = sampling_draw(sampling, step, o->canaries, b->chosen);
    tally->trials += (double)o->canaries;
    tally->drawn += (double)n;
    for (size_t k = 0; k < n; k++) {
        size_t j = b->chosen[k];
        if (b->in[j]) {
            b->sum[j] = kept * gradient;
            tally->largest = fmax(tally->largest, b->sum[j] / o->clip);
        }
    }
    (void)release_add(grid, b->sum, b->total, d); /* finite and far below the bound */
    noise_fill(rng, b->noise, d);
    double factor = noise_factor(o);
    for (size_t i = 0; factor != 1.0 && i < d; i++)
        b->noise[i] = (int64_t)((double)b->noise[i] * factor);
    release_noise(b->total, b->noise, d);
    release_values(grid, b->total, 1.0, b->values, d);
    canary_score(b->score, b->values, o->canaries, o->clip, o->rate, o->noise);
    double scale = o->noise * o->clip;
    for (size_t i = o->canaries; i < d; i++)
        tally->squares += b->values[i] / scale * (b->values[i] / scale);
}

static int judge(const struct rehearsal_options *o, struct buffers *b, const struct tally *tally,
                 struct rehearsal_result *result)
{
    size_t guesses = o->guesses ? o->guesses : (o->canaries + 9) / 10;
    size_t right = canary_guess(b->score, b->in, o->canaries, guesses);
    if (right == (size_t)-1)
        return -2;
    result->audit = (struct audit_result){o->canaries, guesses, right, o->delta, o->beta};
    if (audit_bound_one_run(&result->audit, &result->epsilon_bound) != 0)
        return -1;
    if (audit_bound_gaussian(&result->audit, &result->epsilon_bound_gaussian) != 0)
        result->epsilon_bound_gaussian = NAN;
    double samples = (double)o->steps * REHEARSAL_SILENT;
    result->noise_ratio = sqrt(tally->squares / samples);
    result->noise_z = (result->noise_ratio - 1.0) * sqrt(2.0 * samples);
    double expected = o->rate * tally->trials;
    double spread = sqrt(expected * (1.0 - o->rate));
    result->sampling_z =
        spread > 0.0 ? (tally->drawn - expected) / spread : tally->drawn - expected;
    result->clip_ratio = tally->largest;
    return 0;
}

static int run(const struct rehearsal_options *o, struct buffers *b,
               struct rehearsal_result *result)
{
    struct release_grid grid;
    struct sampling sampling;
    size_t d = o->canaries + REHEARSAL_SILENT;
    if (release_grid_init(&grid, o->clip, o->noise, d, 1) != 0 ||
        sampling_init(&sampling, o->rate) != 0)
        return -1;
    struct rng coins, noise;
    struct tally tally = {0};
    rng_init_system(&coins);
    rng_init_system(&noise);
    canary_coins(&coins, b->in, o->canaries);
    for (uint64_t t = 0; t < o->steps; t++)
        one_step(o, &grid, &sampling, t, &noise, b, &tally);
    sampling_wipe(&sampling);
    rng_wipe(&coins);
    rng_wipe(&noise);
    return judge(o, b, &tally, result);
}

int rehearsal_run(const struct rehearsal_options *options, struct rehearsal_result *result)
{
    const struct rehearsal_options *o = options;
    if (o->canaries < 1 || o->canaries > REHEARSAL_CANARIES_MAX || o->steps < 1 ||
        o->steps > REHEARSAL_STEPS_MAX || o->guesses > o->canaries || !(o->noise > 0.0) ||
        !(o->clip > 0.0) || !(o->rate > 0.0 && o->rate <= 1.0))
        return -1;
    struct buffers b = {0};
    int code = -2;
    if (buffers_alloc(&b, o->canaries, o->canaries + REHEARSAL_SILENT))
        code = run(o, &b, result);
    buffers_free(&b);
    return code;
}

int rehearsal_fault_by_name(const char *name)
{
    static const char *const NAMES[] = {
        [FAULT_NONE] = "none",
        [FAULT_NO_NOISE] = "no-noise",
        [FAULT_QUARTER_NOISE] = "quarter-noise",
        [FAULT_HALF_NOISE] = "half-noise",
        [FAULT_UNSCALED_NOISE] = "unscaled-noise",
        [FAULT_NO_CLIPPING] = "no-clipping",
    };
    for (int i = 0; i < (int)(sizeof NAMES / sizeof *NAMES); i++) {
        if (strcmp(name, NAMES[i]) == 0)
            return i;
    }
    return -1;
}
