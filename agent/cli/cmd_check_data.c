/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent check-data: do the site's patients fit a plan, and would its policy take it. */
#include "agent/cli/commands.h"
#include "agent/cli/site.h"
#include "agent/vault/cost.h"
#include "agent/vault/dataset.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/text.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium-agent check-data SITE-FOLDER --plan PLAN.yaml [--data FOLDER] [--json]\n"
    "\n"
    "Reads the site's patients as a study with this plan would: how many rows are used, which are\n"
    "refused and why, what is missing; then whether the site's policy and privacy budget would "
    "take\n"
    "the plan. Nothing leaves this machine, nothing is charged. Exit code 1 when the study would "
    "be\n"
    "refused.\n";

struct check {
    struct plan plan;
    struct mapping mapping;
    struct dataset data;
    struct ledger_charge charge;
    struct result verdict;
    struct why verdict_why;
};

enum { UNUSED_MOST = 16, UNUSED_BYTES = 320 };

/* The split must be the one of the vault; without a vault yet any key shows the same counts but
 * for the patients on either side. */
static void split_key(const struct folder *folder, unsigned char key[DATASET_KEY_BYTES])
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    memset(key, 0, DATASET_KEY_BYTES);
    if (fs_exists(folder->holdout_key) &&
        ok(fs_read(folder->holdout_key, DATASET_KEY_BYTES, &text, &n, NULL)) &&
        n == DATASET_KEY_BYTES)
        memcpy(key, text, DATASET_KEY_BYTES);
}

static struct result load(const struct site *site, struct check *check, struct why *why)
{
    char path[FS_PATH_BYTES];
    unsigned char key[DATASET_KEY_BYTES];
    TRY(folder_mapping(&site->folder, &check->mapping, path, why));
    CLEANUP(close_file) FILE *file = fopen(path, "re");
    if (!file)
        return failed(why, RESULT_INPUT, "%s: cannot open: %s", path, strerror(errno));
    split_key(&site->folder, key);
    struct result r =
        dataset_load(&check->data, &check->plan, &check->mapping, path, file, key, why);
    sodium_memzero(key, sizeof key);
    return r;
}

static struct result judge(const struct site *site, struct check *check)
{
    struct why *why = &check->verdict_why;
    const struct plan *plan = &check->plan;
    const char *researcher =
        site->policy.researchers_count > 0 ? site->policy.researchers[0].name : "";
    TRY(cost_of_plan(plan, check->mapping.declared_patients, &check->charge, why));
    TRY(policy_check(&site->policy, plan, researcher, check->data.train.patients,
                     check->charge.epsilon, why));
    return cost_fits(&site->ledger, &site->policy, plan->study, &check->charge, clock_unix_ms(),
                     why);
}

/* The plan's name that is nearest to a mapping's; *ret_known: it is that name. */
static const char *nearest_name(const struct plan *plan, const char *name, bool *ret_known)
{
    const char *best = NULL;
    int distance = 3;
    unsigned rest = 0;
    const char *others[] = {plan->patient_id, plan->label.column, plan->label.time,
                            plan->validation.fold_column};
    unsigned all = plan->features_count + plan->subgroups_count + sizeof others / sizeof *others;
    *ret_known = false;
    for (unsigned i = 0; i < all; i++) {
        const char *word = i < plan->features_count ? plan->features[i].name : NULL;
        if (!word && i < plan->features_count + plan->subgroups_count)
            word = plan->subgroups[i - plan->features_count].column;
        if (!word)
            word = others[rest++];
        if (strcmp(word, name) == 0)
            *ret_known = true;
        if (*word && text_distance(name, word) < distance) {
            distance = text_distance(name, word);
            best = word;
        }
    }
    return best;
}

/* Lines of the mapping that say nothing about this plan: another plan's, or a typo that leaves a
 * unit unconverted. */
static size_t unused_lines(const struct check *check, size_t most, char (*text)[UNUSED_BYTES])
{
    size_t n = 0;
    for (unsigned i = 0; i < check->mapping.columns_count && n < most; i++) {
        bool known;
        const char *name = check->mapping.columns[i].plan;
        const char *best = nearest_name(&check->plan, name, &known);
        if (known)
            continue;
        if (best)
            snprintf(text[n++], UNUSED_BYTES,
                     "the mapping's '%.100s' is not in this plan; did you mean '%.100s'?", name,
                     best);
        else
            snprintf(text[n++], UNUSED_BYTES, "the mapping's '%.100s' is not in this plan", name);
    }
    return n;
}

static void print_text(const struct site *site, const struct check *check)
{
    const struct dataset_counts *c = &check->data.counts;
    const struct plan *plan = &check->plan;
    printf("study %s at this site\n", plan->study);
    printf("  rows read %llu, refused %llu, beyond the rows a patient may have %llu\n",
           (unsigned long long)c->rows_read, (unsigned long long)c->rows_refused,
           (unsigned long long)c->rows_over_cap);
    printf("  patients %zu to train on, %zu in the holdout; %zu columns\n",
           check->data.train.patients, check->data.holdout.patients, check->data.inputs);
    site_print_epochs(site, plan->label.column);
    for (unsigned i = 0; i < c->refusals; i++)
        printf("  refused: %llu rows, %s %s (first in line %llu)\n",
               (unsigned long long)c->refusal[i].rows, c->refusal[i].column,
               encode_reason_text(c->refusal[i].reason),
               (unsigned long long)c->refusal[i].first_line);
    for (unsigned i = 0; i < plan->features_count; i++) {
        if (c->missing[i] > 0)
            printf("  missing: %s in %llu rows\n", plan->features[i].name,
                   (unsigned long long)c->missing[i]);
    }
    char remark[DATASET_REMARKS][DATASET_REMARK_BYTES];
    size_t remarks = dataset_remarks(&check->data, plan, remark);
    for (size_t i = 0; i < remarks; i++)
        printf("  note: %s\n", remark[i]);
    char unused[UNUSED_MOST][UNUSED_BYTES];
    size_t lines = unused_lines(check, UNUSED_MOST, unused);
    for (size_t i = 0; i < lines; i++)
        printf("  note: %s\n", unused[i]);
    if (check->charge.epsilon > 0.0)
        printf("  cost: epsilon %.4f at delta %.1e, noise multiplier %.4f\n", check->charge.epsilon,
               check->charge.delta, check->charge.noise_multiplier);
    if (ok(check->verdict))
        puts("The policy and the budget take this plan.");
    else
        printf("The study would be refused: %s\n", check->verdict_why.text);
}

static json_t *refusals_json(const struct dataset_counts *c)
{
    json_t *out = json_array();
    for (unsigned i = 0; i < c->refusals; i++)
        json_array_append_new(out, json_pack("{s:s, s:s, s:I, s:I}", "column", c->refusal[i].column,
                                             "reason", encode_reason_text(c->refusal[i].reason),
                                             "rows", (json_int_t)c->refusal[i].rows, "first_line",
                                             (json_int_t)c->refusal[i].first_line));
    return out;
}

static void print_json(const struct site *site, const struct check *check)
{
    const struct dataset_counts *c = &check->data.counts;
    char hex[2 * DATASET_FINGERPRINT_BYTES + 1];
    sodium_bin2hex(hex, sizeof hex, check->data.fingerprint, DATASET_FINGERPRINT_BYTES);
    json_t *missing = json_object();
    for (unsigned i = 0; i < check->plan.features_count; i++)
        json_object_set_new(missing, check->plan.features[i].name,
                            json_integer((json_int_t)c->missing[i]));
    json_t *out =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:s, s:f, s:f, s:b, s:s}", "study",
                  check->plan.study, "rows_read", (json_int_t)c->rows_read, "rows_refused",
                  (json_int_t)c->rows_refused, "rows_over_cap", (json_int_t)c->rows_over_cap,
                  "patients_train", (json_int_t)check->data.train.patients, "patients_holdout",
                  (json_int_t)check->data.holdout.patients, "columns",
                  (json_int_t)check->data.inputs, "refused", refusals_json(c), "missing", missing,
                  "data_fingerprint", hex, "epsilon", check->charge.epsilon, "delta",
                  check->charge.delta, "accepted", ok(check->verdict), "reason",
                  ok(check->verdict) ? "" : check->verdict_why.text);
    char remark[DATASET_REMARKS][DATASET_REMARK_BYTES];
    size_t remarks = dataset_remarks(&check->data, &check->plan, remark);
    json_t *notes = json_array();
    for (size_t i = 0; i < remarks; i++)
        json_array_append_new(notes, json_string(remark[i]));
    char unused[UNUSED_MOST][UNUSED_BYTES];
    size_t lines = unused_lines(check, UNUSED_MOST, unused);
    for (size_t i = 0; i < lines; i++)
        json_array_append_new(notes, json_string(unused[i]));
    json_object_set_new(out, "notes", notes);
    json_object_set_new(out, "holdout_epochs", site_epochs_json(site, check->plan.label.column));
    json_dumpf(out, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(out);
}

int cmd_check_data(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *plan = cli_take_option(&argc, argv, "--plan");
    const char *data = cli_take_option(&argc, argv, "--data");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2 || !plan)
        return cli_usage("check-data: name the site's folder and --plan; --help shows how");
    struct site site = {0};
    struct check check = {0};
    struct why why;
    struct result r = site_open(&site, argv[1], data, &why);
    if (ok(r))
        r = plan_load(&check.plan, plan, NULL, NULL, &why);
    if (ok(r))
        policy_apply(&site.policy, &check.plan);
    if (ok(r))
        r = load(&site, &check, &why);
    if (ok(r)) {
        check.verdict = judge(&site, &check);
        if (json)
            print_json(&site, &check);
        else
            print_text(&site, &check);
    }
    int code = ok(r) ? (ok(check.verdict) ? CLI_OK : CLI_FAILED) : cli_fail(r, &why);
    dataset_free(&check.data);
    mapping_free(&check.mapping);
    plan_free(&check.plan);
    site_close(&site);
    return code;
}
