/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent show: what would leave this site for a study, and what has left. */
#include "agent/cli/commands.h"
#include "agent/cli/site.h"
#include "agent/vault/cost.h"
#include "proto/base/cleanup.h"
#include "proto/compress/codec.h"
#include "proto/plan_model.h"
#include "proto/plan_privacy.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium-agent show SITE-FOLDER STUDY [--json]\n"
    "       consilium-agent show SITE-FOLDER [--json]\n"
    "\n"
    "With a study: what its plan would make leave this site, message by message, before anything\n"
    "does. Without: everything that has left, from the record that the vault writes and syncs "
    "before\n"
    "it hands anything to the network process. --json prints the record's lines as they are.\n";

/* What a study's plan makes leave the site. */
struct leaving {
    struct model model;
    struct codec codec;
    uint64_t frame_bytes;
    uint64_t evaluations;
    size_t groups;
    struct ledger_charge charge;
};

static struct result foresee(const struct site *site, const struct ledger_study *study,
                             const struct plan *plan, struct leaving *out, struct why *why)
{
    TRY(plan_build_model(plan, &out->model, why));
    TRY(codec_parse(plan->compression, &out->codec, why));
    out->codec = codec_for(&out->codec, out->model.parameters);
    out->frame_bytes = codec_frame_bytes(&out->codec, out->model.parameters);
    out->evaluations = plan_evaluations(plan);
    out->groups = 1;
    for (unsigned i = 0; i < plan->subgroups_count; i++)
        out->groups += plan->subgroups[i].levels_count;
    out->charge = study->charge;
    if (study->standing == LEDGER_STUDY_ALLOWED || study->standing == LEDGER_STUDY_FINISHED)
        return DONE;
    struct mapping mapping = {0};
    char path[FS_PATH_BYTES];
    struct result r = folder_mapping(&site->folder, &mapping, path, why);
    if (ok(r))
        r = cost_of_plan(plan, mapping.declared_patients, &out->charge, why);
    mapping_free(&mapping);
    return r;
}

static void print_plan(const struct site *site, const struct ledger_study *study,
                       const struct plan *plan, const struct leaving *l)
{
    static const char *const METRICS[] = {"figures only", "figures and coarsened histograms",
                                          "noised histograms only", "nothing"};
    char hex[2 * PLAN_HASH_BYTES + 1], name[CODEC_NAME_BYTES];
    unsigned min_cell = plan->validation.min_cell > site->policy.min_cell
                            ? plan->validation.min_cell
                            : site->policy.min_cell;
    sodium_bin2hex(hex, sizeof hex, study->plan_hash, PLAN_HASH_BYTES);
    codec_name(&l->codec, name);
    printf("study %s (%s) of researcher %s: %s\n", study->name, plan->title, study->researcher,
           ledger_standing_name(study->standing));
    printf("  purpose: %s\n  plan %s\n", plan->purpose, hex);
    puts("\nwould leave this site, sealed to the coordinator and signed:");
    puts(
        "  1 answer: allowed or refused with its reason, the declared number of patients, a keyed\n"
        "    fingerprint of the data that tells nobody else anything");
    printf("  %u updates: %zu numbers each (%s, %llu bytes), the change of a model of %zu\n"
           "    parameters%s\n",
           plan->training.rounds, l->model.parameters, name, (unsigned long long)l->frame_bytes,
           l->model.parameters,
           plan->model.site_intercept ? "; the intercept stays here and is sent as zero" : "");
    if (plan->privacy.mode == PRIVACY_PATIENT)
        printf("    each patient's part is cut at norm %g; Gaussian noise of %.4f times that is "
               "added here\n    first: epsilon %.4f at delta %.1e for all updates together\n",
               plan->privacy.clip_norm, plan_noise_share(plan, l->charge.noise_multiplier),
               l->charge.epsilon, l->charge.delta);
    else
        puts("    without differential privacy: an update may tell about single patients");
    if (plan->aggregation.secure)
        printf(
            "    each update is masked: the coordinator sees sums of at least %u sites only. With "
            "privacy\n    the noise added here is this site's share, the epsilon is that of the "
            "sums; it does not\n    hold against more than %u other sites together with the "
            "coordinator\n  for each update: public keys, sealed shares and tags, which say "
            "nothing of patients\n",
            plan->aggregation.secure_threshold, plan->aggregation.secure_colluders);
    printf("  %llu evaluations on the holdout: %s, for everybody and %zu subgroups;\n"
           "    groups with fewer than %u patients of either outcome are left out, figures are\n"
           "    rounded to 0.001\n",
           (unsigned long long)l->evaluations, METRICS[site->policy.metrics], l->groups - 1,
           min_cell);
    if (plan->privacy.mode == PRIVACY_PATIENT && plan->privacy.metrics_noise <= 0.0)
        puts("    these figures are not noised: they are outside the epsilon above");
    if (plan->privacy.metrics_noise <= 0.0)
        printf(
            "    drift of each feature and of the score since the study was allowed here, against "
            "the\n    %s of that day\n",
            plan->privacy.mode == PRIVACY_PATIENT ? "holdout" : "training patients");
    puts("  with each update: seconds of computing, peak memory, epsilon spent");
    puts("never: a row, an identifier, a value of a patient");
    site_print_epochs(site, plan->label.column);
}

static void print_plan_json(const struct site *site, const struct ledger_study *study,
                            const struct plan *plan, const struct leaving *l)
{
    char hex[2 * PLAN_HASH_BYTES + 1], name[CODEC_NAME_BYTES];
    sodium_bin2hex(hex, sizeof hex, study->plan_hash, PLAN_HASH_BYTES);
    codec_name(&l->codec, name);
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:I, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:b, s:b, s:i}",
        "study", study->name, "researcher", study->researcher, "plan_hash", hex, "standing",
        ledger_standing_name(study->standing), "updates", (int)plan->training.rounds, "parameters",
        (json_int_t)l->model.parameters, "codec", name, "update_bytes", (json_int_t)l->frame_bytes,
        "evaluations", (json_int_t)l->evaluations, "groups", (json_int_t)l->groups, "epsilon",
        l->charge.epsilon, "delta", l->charge.delta, "noise_multiplier", l->charge.noise_multiplier,
        "clip_norm", plan->privacy.clip_norm, "private", plan->privacy.mode == PRIVACY_PATIENT,
        "metrics_noised", plan->privacy.metrics_noise > 0.0, "min_cell",
        (int)(plan->validation.min_cell > site->policy.min_cell ? plan->validation.min_cell
                                                                : site->policy.min_cell));
    json_object_set_new(out, "holdout_epochs", site_epochs_json(site, plan->label.column));
    json_dumpf(out, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(out);
}

static struct result show_study(struct site *site, const char *name, bool json, struct why *why)
{
    struct ledger_study *study = NULL;
    struct plan plan;
    struct leaving leaving = {0};
    TRY(site_study(site, name, &study, why));
    TRY(site_plan(site, study, &plan, why));
    struct result r = foresee(site, study, &plan, &leaving, why);
    if (ok(r) && json)
        print_plan_json(site, study, &plan, &leaving);
    else if (ok(r))
        print_plan(site, study, &plan, &leaving);
    plan_free(&plan);
    return r;
}

static double first_auroc(const json_t *line)
{
    json_t *model = json_array_get(json_object_get(line, "models"), 0);
    json_t *all = json_array_get(json_object_get(model, "groups"), 0);
    return json_number_value(json_object_get(all, "auroc"));
}

/* One line of the record for a human. */
static void print_line(const json_t *line)
{
    const char *time = "", *kind = "", *study = "", *reason = "", *verdict = "", *hash = "";
    json_int_t task = 0, bytes = 0, round = 0;
    double epsilon = 0.0;
    json_t *copy = json_deep_copy(line);
    json_unpack(copy, "{s?s, s?s, s?s, s?s, s?s, s?s, s?I, s?I, s?I, s?F}", "time", &time, "kind",
                &kind, "study", &study, "reason", &reason, "verdict", &verdict, "hash", &hash,
                "task", &task, "bytes", &bytes, "round", &round, "epsilon_spent", &epsilon);
    printf("%s  %-16s ", time, study);
    if (strcmp(kind, "update") == 0)
        printf("task %lld: update of round %lld, %lld bytes, hash %.12s, epsilon so far %.4f\n",
               (long long)task, (long long)round, (long long)bytes, hash, epsilon);
    else if (strcmp(kind, "evaluation") == 0)
        printf("task %lld: evaluation of round %lld, %zu models, AUROC %.3f, %lld bytes, hash "
               "%.12s\n",
               (long long)task, (long long)round, json_array_size(json_object_get(line, "models")),
               first_auroc(line), (long long)bytes, hash);
    else if (strcmp(kind, "secure") == 0)
        printf("task %lld: round %lld, %s, %lld bytes, hash %.12s\n", (long long)task,
               (long long)round, json_string_value(json_object_get(line, "note")), (long long)bytes,
               hash);
    else if (strcmp(kind, "answer") == 0)
        printf("answer: %s, %s\n", verdict, reason);
    else
        printf("task %lld: declined, %s\n", (long long)task, reason);
    json_decref(copy);
}

static struct result show_record(const struct site *site, bool json, struct why *why)
{
    if (!fs_exists(site->folder.released))
        return DONE;
    CLEANUP(close_file) FILE *file = fopen(site->folder.released, "re");
    if (!file)
        return failed(why, RESULT_SYSTEM, "%s: cannot read", site->folder.released);
    CLEANUP(free_pointer) char *text = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&text, &size, file)) > 0) {
        json_t *line = json_loads(text, 0, NULL);
        if (!line)
            continue; /* torn by a crash before it was synced: nothing of it left */
        if (json)
            fputs(text, stdout);
        else
            print_line(line);
        json_decref(line);
    }
    return DONE;
}

int cmd_show(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc < 2 || argc > 3)
        return cli_usage("show: name the site's folder and perhaps a study; --help shows how");
    struct site site = {0};
    struct why why;
    struct result r = site_open(&site, argv[1], NULL, &why);
    if (ok(r))
        r = argc == 3 ? show_study(&site, argv[2], json, &why) : show_record(&site, json, &why);
    site_close(&site);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
