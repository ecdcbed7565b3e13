/* SPDX-License-Identifier: Apache-2.0 */
/* What one hostile site costs, over many draws of the noise: the vault's training, the gallery, and
 * the coordinator's gate, rule and optimiser, without link, signatures and log (consilium simulate
 * has those, and takes twenty times as long).
 *
 * For each hostile site: the AUROC at the honest sites' holdouts, weighted by their patients, less
 * its mean under the weighted mean of the honest sites alone. Usage:
 * bench_hostile PLAN FOLDER [KEY=VALUE ...], keys below; attacks and hostile are lists by commas.
 */
#include "agent/local_data.h"
#include "agent/vault/train.h"
#include "coordinator/cli/simulate_attack.h"
#include "coordinator/combine.h"
#include "linalg/blas.h"
#include "linalg/stats/auroc.h"
#include "proto/compress/codec.h"
#include "proto/plan_model.h"
#include "tests/bench/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS_MAX = 16, DECLARED_STEP = 50 };

struct member {
    struct dataset dataset[POISON_TRIGGER + 1]; /* by poison; loaded when asked for */
    struct trainer *trainer[POISON_TRIGGER + 1];
    uint64_t declared;
};

struct bench {
    struct plan plan, alone; /* under the robust rule; the honest sites' weighted mean */
    const char *folder, *hostile, *attacks;
    unsigned draws, honest_draws;
    double noise;
    size_t d;
    struct member member[MEMBERS_MAX];
};

/* Losses of one attack at one hostile site; NaN where no model comes of it. */
struct losses {
    double mean, deviation, largest;
};

static const unsigned char BASE[PLAN_HASH_BYTES] = {1};

static struct result load(struct bench *b, unsigned i, enum local_site_poison poison,
                          struct why *why)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {9};
    struct member *m = &b->member[i];
    struct mapping mapping = {.version = 1};
    char path[1024];
    uint64_t lines = 0;
    snprintf(path, sizeof path, "%s/%s.csv", b->folder, b->plan.sites[i].name);
    FILE *file = fopen(path, "r");
    if (!file)
        return failed(why, RESULT_SYSTEM, "%s: cannot be opened", path);
    for (int c = getc(file); c != EOF; c = getc(file))
        lines += c == '\n';
    rewind(file);
    lines -= lines > 0; /* the header */
    m->declared = lines / DECLARED_STEP * DECLARED_STEP + DECLARED_STEP;
    mapping.declared_patients = m->declared;
    struct result r = dataset_load(&m->dataset[poison], &b->plan, &mapping, path, file, key, why);
    fclose(file);
    TRY(r);
    local_data_poison(&m->dataset[poison], poison, (double)b->plan.label.levels_count);
    struct train_site site = {.declared_patients = m->declared, .noise_multiplier = b->noise};
    return trainer_create(&m->trainer[poison], &b->plan, &m->dataset[poison], &site, why);
}

static void unload(struct bench *b)
{
    for (unsigned i = 0; i < MEMBERS_MAX; i++)
        for (unsigned p = 0; p <= POISON_TRIGGER; p++) {
            trainer_free(b->member[i].trainer[p]);
            dataset_free(&b->member[i].dataset[p]);
        }
}

/* What the site sends; a frame that no codec takes is not sent. */
static bool encode(const struct bench *b, unsigned i, const float *update,
                   struct combine_update *out)
{
    unsigned char seed[CODEC_SEED_BYTES] = {0};
    struct codec codec;
    struct why ignored;
    if (!ok(codec_parse(b->plan.compression, &codec, &ignored)))
        return false;
    codec = codec_for(&codec, b->d);
    size_t bytes = (size_t)codec_frame_bytes(&codec, b->d);
    seed[0] = (unsigned char)i;
    *out = (struct combine_update){.site = i};
    memcpy(out->base, BASE, sizeof BASE);
    out->digest[0] = (unsigned char)i;
    out->update.frame = malloc(bytes);
    if (out->update.frame && ok(codec_encode(&codec, seed, b->d, update, out->update.frame, bytes,
                                             &out->update.frame_n, &ignored)))
        return true;
    free(out->update.frame);
    return false;
}

/* One site's part of a round: hostile sites forge what they would have sent. */
static struct result take_part(struct bench *b, const struct server *server, unsigned i,
                               struct attack *attack, bool hostile, struct combine_update *out,
                               bool *ret_sent, struct why *why)
{
    double global[256];
    float update[256];
    struct train_intercept none = {0};
    const struct attack_kind *kind = attack ? attack_kind(attack) : NULL;
    enum local_site_poison poison = hostile && kind ? kind->poison : POISON_NONE;
    if (!b->member[i].trainer[poison])
        TRY(load(b, i, poison, why));
    for (size_t k = 0; k < b->d; k++)
        global[k] = (double)server->parameters[k];
    TRY(trainer_round(b->member[i].trainer[poison], server->round + 1, global, &none, &none, update,
                      why));
    if (attack)
        attack_tamper(attack, b->plan.sites[i].name, update, b->d);
    *ret_sent = encode(b, i, update, out);
    out->update.round = server->round + 1;
    out->update.declared_patients = b->member[i].declared;
    if (hostile && kind && kind->declares > 0)
        out->update.declared_patients *= kind->declares;
    return DONE;
}

static int by_site(const void *a, const void *b)
{
    const struct combine_update *x = a, *y = b;
    return (x->site > y->site) - (x->site < y->site);
}

/* hostile: the site's index; left out where there is no attack and only_honest. */
static struct result one_round(struct bench *b, const struct plan *plan, struct server *server,
                               unsigned hostile, bool only_honest, struct attack *attack,
                               struct why *why)
{
    struct combine_update updates[MEMBERS_MAX];
    struct combine_outcome outcome = {0};
    struct result r = DONE;
    size_t n = 0;
    for (unsigned k = 1; k <= plan->sites_count && ok(r); k++) {
        unsigned i = (hostile + k) % plan->sites_count; /* the hostile one last */
        bool sent = false;
        if (i == hostile && only_honest)
            continue;
        r = take_part(b, server, i, attack, i == hostile, &updates[n], &sent, why);
        n += sent;
    }
    qsort(updates, n, sizeof *updates, by_site);
    struct combine_case round = {.plan = plan,
                                 .noise_multiplier = b->noise,
                                 .base = BASE,
                                 .updates = updates,
                                 .n = n,
                                 .threads = 1};
    if (ok(r))
        r = combine_round(&round, server, &outcome, why);
    combine_outcome_free(&outcome);
    for (size_t i = 0; i < n; i++)
        free(updates[i].update.frame);
    return r;
}

static struct result score(struct bench *b, const struct server *server, unsigned hostile,
                           double *ret_auroc, struct why *why)
{
    float w[256];
    double total = 0.0, patients = 0.0;
    server_candidate(server, w);
    for (unsigned i = 0; i < b->plan.sites_count; i++) {
        if (i == hostile)
            continue;
        const struct dataset *data = &b->member[i].dataset[POISON_NONE];
        const struct dataset_part *part = &data->holdout;
        double *z = calloc(part->rows + 1, sizeof *z);
        struct auroc auroc;
        if (!z)
            return failed(why, RESULT_SYSTEM, "no memory");
        for (size_t r = 0; r < part->rows; r++)
            for (size_t c = 0; c < data->inputs; c++)
                z[r] += (double)w[c] * part->x[r * data->inputs + c];
        auroc_delong(part->rows, part->y, z, NULL, &auroc);
        free(z);
        if (isnan(auroc.auc))
            continue;
        total += auroc.auc * (double)part->rows;
        patients += (double)part->rows;
    }
    *ret_auroc = total / patients;
    return DONE;
}

/* attack NULL and only_honest: what the others reach by themselves. */
static struct result study(struct bench *b, unsigned hostile, bool only_honest, const char *name,
                           double *ret_auroc, struct why *why)
{
    const struct plan *plan = only_honest ? &b->alone : &b->plan;
    struct attack *attack = NULL;
    struct server server;
    if (name)
        TRY(attack_create(name, plan->sites[hostile].name, plan->aggregation.site_momentum, &attack,
                          why));
    struct result r = server_initial(plan, &server, why);
    for (unsigned k = 0; k < plan->training.rounds && ok(r); k++)
        r = one_round(b, plan, &server, hostile, only_honest, attack, why);
    if (ok(r))
        r = score(b, &server, hostile, ret_auroc, why);
    server_free(&server);
    attack_free(attack);
    return r;
}

static struct result measure(struct bench *b, unsigned hostile, const char *name, double base,
                             struct losses *out, struct why *why)
{
    double sum = 0.0, squares = 0.0, n = b->draws;
    out->largest = -1.0;
    for (unsigned k = 0; k < b->draws; k++) {
        double auroc = 0.0;
        struct result r = study(b, hostile, false, name, &auroc, why);
        if (r.code == RESULT_REFUSED) { /* the coordinator aborts the study */
            *out = (struct losses){(double)NAN, (double)NAN, (double)NAN};
            return DONE;
        }
        TRY(r);
        sum += base - auroc;
        squares += (base - auroc) * (base - auroc);
        out->largest = fmax(out->largest, base - auroc);
    }
    out->mean = sum / n;
    out->deviation = sqrt(fmax(0.0, squares / n - out->mean * out->mean));
    return DONE;
}

static struct result one_line(struct bench *b, const char *name, const double *base,
                              struct losses *worst, struct why *why)
{
    struct losses line = {-1.0, 0.0, -1.0}, at;
    printf("%-16s", name ? name : "none");
    for (unsigned i = 0; i < b->plan.sites_count; i++) {
        if (!bench_listed(b->hostile, b->plan.sites[i].name))
            continue;
        TRY(measure(b, i, name, base[i], &at, why));
        printf("  %+.4f sd %.4f (%+.4f)", at.mean, at.deviation, at.largest);
        fflush(stdout);
        line.mean = fmax(line.mean, at.mean);
        line.largest = fmax(line.largest, at.largest);
    }
    printf("   worst %+.4f (%+.4f)\n", line.mean, line.largest);
    if (name) {
        worst->mean = fmax(worst->mean, line.mean);
        worst->largest = fmax(worst->largest, line.largest);
    }
    return DONE;
}

static struct result table(struct bench *b, struct why *why)
{
    double base[MEMBERS_MAX] = {0};
    struct losses worst = {-1.0, 0.0, -1.0};
    for (unsigned i = 0; i < b->plan.sites_count; i++)
        TRY(load(b, i, POISON_NONE, why));
    for (unsigned i = 0; i < b->plan.sites_count; i++) {
        if (!bench_listed(b->hostile, b->plan.sites[i].name))
            continue;
        for (unsigned k = 0; k < b->honest_draws; k++) {
            double auroc = 0.0;
            TRY(study(b, i, true, NULL, &auroc, why));
            base[i] += auroc / b->honest_draws;
        }
        printf("honest without %s: AUROC %.4f\n", b->plan.sites[i].name, base[i]);
    }
    TRY(one_line(b, NULL, base, &worst, why));
    for (const struct attack_kind *kind = attack_kinds(); kind->name; kind++)
        if (bench_listed(b->attacks, kind->name))
            TRY(one_line(b, kind->name, base, &worst, why));
    printf("worst loss %+.4f in the mean of %u draws, %+.4f in one\n", worst.mean, b->draws,
           worst.largest);
    return DONE;
}

/* Plan values that a run may replace. */
static bool replace(struct bench *b, char *pair)
{
    struct plan *plan = &b->plan;
    const struct bench_key keys[] = {
        {"rate", &plan->training.learning_rate, NULL},
        {"l2", &plan->training.l2, NULL},
        {"average_from", &plan->training.average_from, NULL},
        {"clip", &plan->privacy.clip_norm, NULL},
        {"epsilon", &plan->privacy.epsilon, NULL},
        {"site_momentum", &plan->aggregation.site_momentum, NULL},
        {"max_share", &plan->aggregation.max_share, NULL},
        {"rounds", NULL, &plan->training.rounds},
        {"byzantine", NULL, &plan->aggregation.byzantine},
        {"draws", NULL, &b->draws},
        {"honest_draws", NULL, &b->honest_draws},
    };
    if (bench_set_number(keys, sizeof keys / sizeof *keys, pair))
        return true;
    char *value = strchr(pair, '=');
    if (!value)
        return false;
    *value++ = '\0';
    if (strcmp(pair, "attacks") == 0)
        b->attacks = value;
    else if (strcmp(pair, "hostile") == 0)
        b->hostile = value;
    else if (strcmp(pair, "privacy") == 0 && strcmp(value, "none") == 0)
        plan->privacy = (struct plan_privacy){.mode = PRIVACY_NONE};
    else if (strcmp(pair, "rule") == 0)
        snprintf(plan->aggregation.rule, sizeof plan->aggregation.rule, "%s", value);
    else if (strcmp(pair, "fold") == 0)
        snprintf(plan->validation.fold_value, sizeof plan->validation.fold_value, "%s", value);
    else
        return false;
    return true;
}

static struct result run(struct bench *b, const char *path, int pairs, char **pair, struct why *why)
{
    struct model model;
    TRY(plan_load(&b->plan, path, NULL, NULL, why));
    for (int i = 0; i < pairs; i++)
        if (!replace(b, pair[i]))
            return failed(why, RESULT_INPUT, "%s: not a key and its value", pair[i]);
    TRY(plan_build_model(&b->plan, &model, why));
    b->d = model.parameters;
    if (b->d > 256 || b->plan.sites_count > MEMBERS_MAX || b->draws == 0 || b->honest_draws == 0 ||
        b->plan.model.site_intercept)
        return failed(why, RESULT_INPUT, "for small linear models without intercepts at the sites");
    TRY(combine_noise_multiplier(&b->plan, &b->noise, why));
    b->alone = b->plan;
    snprintf(b->alone.aggregation.rule, sizeof b->alone.aggregation.rule, "weighted-mean");
    b->alone.aggregation.byzantine = 0;
    b->alone.aggregation.site_momentum = 0.0;
    return table(b, why);
}

int main(int argc, char **argv)
{
    static struct bench b = {.draws = 1, .honest_draws = 1};
    struct why why;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_hostile PLAN FOLDER [KEY=VALUE ...]\n");
        return 2;
    }
    blas_use_one_thread();
    b.folder = argv[2];
    struct result result = run(&b, argv[1], argc - 3, argv + 3, &why);
    if (!ok(result))
        fprintf(stderr, "%s\n", why.text);
    unload(&b);
    plan_free(&b.plan);
    return ok(result) ? 0 : 1;
}
