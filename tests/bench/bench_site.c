/* SPDX-License-Identifier: Apache-2.0 */
/* How long a site's whole evaluation of a candidate against a model in use takes, part by part, by
 * the vault's own code: bench_site PLAN FILE.csv [RUNS]. All patients of the file but a few are
 * held out; the drift is against a sample frozen when half of them were. Wall-clock seconds of the
 * fastest run. */
#include "agent/vault/holdout.h"
#include "agent/vault/release.h"
#include "agent/vault/room.h"
#include "linalg/blas.h"
#include "linalg/stats/prng.h"
#include "proto/plan_model.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static const double NEARLY_ALL = 0.999;

enum part { LOAD, EPOCH, CANDIDATE, INCUMBENT, STRATA, DRIFT, RELEASE, PARTS };
static const char *const NAMES[PARTS] = {
    "reading, encoding, splitting",
    "holdout epoch, charged",
    "candidate: figures, calibration, subgroups",
    "model in use: the same, paired differences",
    "hidden strata",
    "drift of columns and score, MMD with 999 permutations",
    "suppression, rounding, encoding",
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct site {
    struct vault vault;
    struct room room;
    const char *file;
};

static struct result load(struct site *s, double holdout, struct why *why)
{
    FILE *file = fopen(s->file, "re");
    if (!file)
        return failed(why, RESULT_INPUT, "%s: cannot be read", s->file);
    s->room.plan.validation.holdout = holdout;
    dataset_free(&s->room.data);
    struct result r = dataset_load(&s->room.data, &s->room.plan, &s->vault.mapping, s->file, file,
                                   s->vault.holdout_key, why);
    fclose(file);
    s->room.loaded = ok(r);
    return r;
}

static struct result open_site(struct site *s, const char *plan, struct why *why)
{
    TRY(plan_load(&s->room.plan, plan, NULL, NULL, why));
    policy_default(&s->vault.policy);
    s->vault.policy.metrics = METRICS_HISTOGRAM;
    s->vault.policy.queries_per_epoch = 0;
    s->vault.mapping.declared_patients = 6250;
    s->vault.room = &s->room;
    memset(s->vault.holdout_key, 7, sizeof s->vault.holdout_key);
    s->room.plan.validation.fold_column[0] = '\0';
    s->vault.epochs_fd = memfd_create("epochs", MFD_CLOEXEC);
    TRY(epoch_book_open(&s->vault.book, s->vault.epochs_fd, "epochs", why));
    TRY(load(s, 0.5, why));
    return holdout_freeze(&s->vault, why);
}

/* Made-up coefficients: the figures cost the same whatever they are. */
static void make_model(size_t n, uint64_t seed, double *w)
{
    struct prng prng;
    prng_seed(&prng, seed);
    prng_normals(&prng, n, w);
    for (size_t i = 0; i < n; i++)
        w[i] *= 0.3;
}

static struct result judge(struct site *s, struct evaluator *e, double spent[PARTS],
                           struct payload_evaluation *out, struct why *why)
{
    struct model model;
    TRY(plan_build_model(&s->room.plan, &model, why));
    double *w = calloc(model.parameters, sizeof *w);
    if (!w)
        return failed(why, RESULT_SYSTEM, "no memory");
    double start = seconds();
    make_model(model.parameters, 1, w);
    struct result r = evaluator_run(e, "candidate", w, &out->models[0], why);
    spent[CANDIDATE] = seconds() - start, start = seconds();
    out->models_count = 1;
    if (ok(r))
        r = holdout_strata(&s->vault, e, out->models[0].groups[0].status, &out->strata, why);
    spent[STRATA] = seconds() - start, start = seconds();
    if (ok(r))
        r = holdout_drift(&s->vault, e, w, out->models[0].groups[0].status, &out->drift, why);
    spent[DRIFT] = seconds() - start, start = seconds();
    make_model(model.parameters, 2, w);
    if (ok(r))
        r = evaluator_run(e, "incumbent", w, &out->models[1], why);
    spent[INCUMBENT] = seconds() - start;
    out->models_count = 2;
    free(w);
    return r;
}

static struct result release(struct payload_evaluation *evaluation, double spent[PARTS],
                             struct why *why)
{
    unsigned char *bytes = NULL;
    size_t n = 0;
    double start = seconds();
    release_shape(evaluation, METRICS_HISTOGRAM, 11, false);
    TRY(payload_evaluation_encode(evaluation, &bytes, &n, why));
    spent[RELEASE] = seconds() - start;
    free(bytes);
    return DONE;
}

static struct result run(struct site *s, uint32_t task, double spent[PARTS], struct why *why)
{
    static struct evaluation_model models[2];
    struct payload_evaluation out = {.models = models};
    enum evaluation_status status;
    const struct holdout_query query = {.study = s->room.plan.study, .task = task, .models = 2};
    double start = seconds();
    memset(models, 0, sizeof models);
    TRY(load(s, NEARLY_ALL, why));
    spent[LOAD] = seconds() - start, start = seconds();
    TRY(holdout_enter(&s->vault, &query, &out.epoch, &status, why));
    spent[EPOCH] = seconds() - start;
    struct evaluator *e;
    TRY(evaluator_create(&e, &s->room.plan, &s->room.data, why));
    struct result r = judge(s, e, spent, &out, why);
    evaluator_free(e);
    if (ok(r))
        r = release(&out, spent, why);
    const struct evaluation_figures *f = &models[0].groups[0];
    if (ok(r) && task == 1)
        printf("%zu patients judged, %u groups; AUROC %.3f, difference %.3f (variance %.6f), drift "
               "%s of %u columns, MMD p %.3f, strata %s\n",
               s->room.data.holdout.patients, models[0].groups_count, f->auroc,
               models[1].difference, models[1].difference_variance,
               evaluation_statistic_name(out.drift.status), out.drift.columns_count,
               out.drift.mmd_p, evaluation_statistic_name(out.strata.status));
    for (int m = 0; m < 2; m++)
        free(models[m].groups);
    free(out.drift.columns);
    return r;
}

int main(int argc, char **argv)
{
    static struct site site;
    struct why why;
    double best[PARTS] = {0}, total = 0.0, judged = 0.0;
    unsigned runs = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 5;
    if (argc < 3 || sodium_init() < 0 || runs == 0) {
        fputs("usage: bench_site PLAN FILE.csv [RUNS]\n", stderr);
        return 2;
    }
    blas_use_one_thread();
    site.file = argv[2];
    struct result r = open_site(&site, argv[1], &why);
    for (uint32_t task = 1; ok(r) && task <= runs; task++) {
        double spent[PARTS] = {0};
        r = run(&site, task, spent, &why);
        for (int p = 0; ok(r) && p < PARTS; p++)
            best[p] = task == 1 || spent[p] < best[p] ? spent[p] : best[p];
    }
    if (!ok(r)) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    for (int p = 0; p < PARTS; p++) {
        printf("%-56s %7.3f s\n", NAMES[p], best[p]);
        total += best[p];
        judged += p == LOAD ? 0.0 : best[p];
    }
    printf("%-56s %7.3f s\n%-56s %7.3f s\n", "the evaluation", judged, "with reading the file",
           total);
    epoch_book_free(&site.vault.book);
    dataset_free(&site.room.data);
    plan_free(&site.room.plan);
    return 0;
}
