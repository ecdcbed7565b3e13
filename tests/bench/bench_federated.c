/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan's training reaches on a folder of site files: five folds or the plan's own holdout,
 * several noise draws. Usage: bench_federated PLAN FOLDER [KEY=VALUE ...], keys below. */
#include "linalg/blas.h"
#include "tests/bench/options.h"
#include "tests/federation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The multiplier for epsilon=inf: clipping as planned, noise that nobody sees. */
static const double NO_NOISE = 1e-3;

/* prior=0 trains without the plan's priors, prior=-1 with wrong ones. */
static void scale_priors(struct plan *plan, double factor)
{
    for (unsigned i = 0; i < plan->features_count; i++)
        for (unsigned k = 0; k < plan->features[i].prior_count; k++)
            plan->features[i].prior[k] *= factor;
}

/* Plan values that a run may replace. */
static bool replace(struct plan *plan, unsigned *folds, unsigned *repeats, const char *pair)
{
    double prior = 1.0, intercept = plan->model.site_intercept;
    const struct bench_key keys[] = {
        {"prior", &prior, NULL},
        {"intercept", &intercept, NULL},
        {"rate", &plan->training.learning_rate, NULL},
        {"rate_end", &plan->training.learning_rate_end, NULL},
        {"momentum", &plan->training.momentum, NULL},
        {"server_momentum", &plan->training.server_momentum, NULL},
        {"l2", &plan->training.l2, NULL},
        {"proximal", &plan->training.proximal, NULL},
        {"average_from", &plan->training.average_from, NULL},
        {"clip", &plan->privacy.clip_norm, NULL},
        {"epsilon", &plan->privacy.epsilon, NULL},
        {"sampling_rate", &plan->privacy.sampling_rate, NULL},
        {"rounds", NULL, &plan->training.rounds},
        {"steps", NULL, &plan->training.steps},
        {"epochs", NULL, &plan->training.epochs},
        {"batch", NULL, &plan->training.batch},
        {"folds", NULL, folds},
        {"repeats", NULL, repeats},
    };
    if (!bench_set_number(keys, sizeof keys / sizeof *keys, pair))
        return false;
    scale_priors(plan, prior);
    plan->model.site_intercept = intercept > 0.0;
    return true;
}

static void print(const struct plan *plan, const struct federation_outcome *sum, double squares,
                  unsigned repeats)
{
    double n = repeats, mean = sum->auroc / n;
    printf("AUROC %.4f (sd %.4f of %u)  slope %.3f  intercept %+.3f  Brier %.4f  %zu patients\n",
           mean, sqrt(fmax(0.0, squares / n - mean * mean)), repeats, sum->slope / n,
           sum->intercept / n, sum->brier / n, sum->patients);
    for (size_t i = 0; i < sum->sites; i++)
        printf("  %-14s AUROC %.4f  accuracy %.4f  %zu patients\n", plan->sites[i].name,
               sum->site[i].auroc / n, sum->site[i].accuracy / n, sum->site[i].patients);
}

static struct result repeat(struct plan *plan, const char *folder, unsigned folds, unsigned repeats,
                            struct why *why)
{
    static const char *const names[] = {"0", "1", "2", "3", "4"};
    struct federation_outcome sum = {0}, one;
    double noise = 0.0, squares = 0.0;
    if (plan->privacy.mode == PRIVACY_PATIENT) {
        if (isinf(plan->privacy.epsilon))
            noise = NO_NOISE;
        else
            TRY(federation_noise(plan, &noise, why));
        printf("noise multiplier %.4f for epsilon %g\n", noise, plan->privacy.epsilon);
    }
    for (unsigned k = 0; k < repeats; k++) {
        TRY(federation_run(plan, folder, names, folds, noise, &one, why));
        squares += one.auroc * one.auroc;
        sum.auroc += one.auroc;
        sum.slope += one.slope;
        sum.intercept += one.intercept;
        sum.brier += one.brier;
        sum.patients = one.patients;
        sum.sites = one.sites;
        for (size_t i = 0; i < one.sites; i++) {
            sum.site[i].auroc += one.site[i].auroc;
            sum.site[i].accuracy += one.site[i].accuracy;
            sum.site[i].patients = one.site[i].patients;
        }
    }
    print(plan, &sum, squares, repeats);
    return DONE;
}

int main(int argc, char **argv)
{
    struct plan plan;
    struct why why;
    unsigned folds = 5, repeats = 1;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_federated PLAN FOLDER [KEY=VALUE ...]\n");
        return 2;
    }
    blas_use_one_thread();
    if (!ok(plan_load(&plan, argv[1], NULL, NULL, &why))) {
        fprintf(stderr, "%s\n", why.text);
        return 2;
    }
    bool known = true;
    for (int i = 3; i < argc; i++)
        if (!replace(&plan, &folds, &repeats, argv[i])) {
            fprintf(stderr, "%s: not a key and a number\n", argv[i]);
            known = false;
        }
    if (plan.validation.fold_column[0] == '\0')
        folds = 0;
    struct result result = known && folds <= 5 && repeats > 0
                               ? repeat(&plan, argv[2], folds, repeats, &why)
                               : failed(&why, RESULT_INPUT, "folds is at most 5");
    if (!ok(result))
        fprintf(stderr, "%s\n", why.text);
    plan_free(&plan);
    return ok(result) ? 0 : 1;
}
