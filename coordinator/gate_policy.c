/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the gate's thresholds; the gate's own parser fills what a file leaves out. */
#include "coordinator/gate_policy.h"

#include "coordinator/validate/gate_json.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double DAY_MS = 24.0 * 3600.0 * 1000.0;
static const double DAYS_MAX = 3650.0;

struct gate_rules gate_rules_default(void)
{
    struct gate_rules rules = {
        .gate = gate_policy_default(),
        .stages = stage_policy_default(),
        .ledger = ledger_policy_default(ALPHA_FIXED),
        .monitor = monitor_policy_default(),
    };
    rules.gate.calibration_used = true;
    rules.gate.fairness_used = true;
    rules.gate.drift_used = true;
    rules.gate.signatures_needed = rules.stages.signatures_needed;
    return rules;
}

static struct result read_days(const json_t *o, const char *key, int64_t *ms, struct why *why)
{
    const json_t *value = json_object_get(o, key);
    double days = json_number_value(value);
    if (!value)
        return DONE;
    if (!json_is_number(value) || !(days >= 0.0 && days <= DAYS_MAX))
        return failed(why, RESULT_INPUT, "'%s' is a number of days from 0 to %.0f", key, DAYS_MAX);
    *ms = (int64_t)(days * DAY_MS);
    return DONE;
}

/* What the file names of the policy replaces the defaults; gate_parse wants a whole input. */
static struct result read_policy(const json_t *policy, struct gate_policy *out, struct why *why)
{
    struct gate_input defaults = {.policy = *out};
    struct gate_parsed parsed = {0};
    json_t *whole = gate_input_json(&defaults);
    json_object_update(json_object_get(whole, "policy"), (json_t *)(uintptr_t)policy);
    struct result r = gate_parse(whole, &parsed, why);
    json_decref(whole);
    if (ok(r))
        *out = parsed.input.policy;
    gate_parsed_free(&parsed);
    return r;
}

static struct result read_stages(const json_t *stages, struct stage_policy *out, struct why *why)
{
    TRY(read_days(stages, "shadow_min_days", &out->shadow_min_ms, why));
    TRY(read_days(stages, "pilot_min_days", &out->pilot_min_ms, why));
    const json_t *signatures = json_object_get(stages, "signatures_needed");
    if (!signatures)
        return DONE;
    if (!json_is_integer(signatures) || json_integer_value(signatures) < 1 ||
        json_integer_value(signatures) > 16)
        return failed(why, RESULT_INPUT, "'signatures_needed' is from 1 to 16");
    out->signatures_needed = (unsigned)json_integer_value(signatures);
    return DONE;
}

static struct result read_monitor(const json_t *monitor, struct monitor_policy *out,
                                  struct why *why)
{
    const struct {
        const char *key;
        double *value;
    } numbers[] = {
        {"auroc_drop_investigate", &out->auroc_drop_investigate},
        {"auroc_drop_suspend", &out->auroc_drop_suspend},
        {"brier_rise_max", &out->brier_rise_max},
        {"ece_max", &out->ece_max},
        {"accuracy_gap_max", &out->accuracy_gap_max},
        {"kl_max", &out->kl_max},
        {"accuracy_margin", &out->accuracy_margin},
        {"alpha", &out->alpha},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const json_t *value = json_object_get(monitor, numbers[i].key);
        if (value && !json_is_number(value))
            return failed(why, RESULT_INPUT, "'%s' is a number", numbers[i].key);
        if (value)
            *numbers[i].value = json_number_value(value);
    }
    const json_t *looks = json_object_get(monitor, "looks");
    const json_t *site = json_object_get(monitor, "site_suspends");
    if (looks && (!json_is_integer(looks) || json_integer_value(looks) < 1 ||
                  json_integer_value(looks) > MONITOR_LOOKS_MAX))
        return failed(why, RESULT_INPUT, "'looks' is from 1 to %d", MONITOR_LOOKS_MAX);
    if (looks)
        out->looks = (unsigned)json_integer_value(looks);
    if (site)
        out->site_suspends = json_is_true(site);
    TRY(read_days(monitor, "investigate_days", &out->investigate_ms, why));
    TRY(read_days(monitor, "suspend_days", &out->suspend_ms, why));
    return monitor_policy_check(out, why);
}

/* A misspelt section must not be taken for the default. */
static struct result check_sections(const json_t *root, struct why *why)
{
    const char *key;
    json_t *value, *all = (json_t *)(uintptr_t)root;
    if (!json_is_object(root))
        return failed(why, RESULT_INPUT,
                      "no JSON object with \"policy\", \"stages\", \"ledger\" and \"monitor\"");
    json_object_foreach(all, key, value)
    {
        if (strcmp(key, "policy") != 0 && strcmp(key, "stages") != 0 &&
            strcmp(key, "ledger") != 0 && strcmp(key, "monitor") != 0)
            return failed(
                why, RESULT_INPUT,
                "there is no section '%.40s': \"policy\", \"stages\", \"ledger\", \"monitor\"",
                key);
        if (!json_is_object(value))
            return failed(why, RESULT_INPUT, "'%.40s' is no JSON object", key);
    }
    return DONE;
}

struct result gate_rules_parse(const char *text, size_t n, struct gate_rules *rules,
                               struct why *why)
{
    *rules = gate_rules_default();
    if (n > GATE_POLICY_BYTES_MAX)
        return failed(why, RESULT_INPUT, "a gate policy has at most %d bytes",
                      GATE_POLICY_BYTES_MAX);
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *policy = json_object_get(root, "policy");
    const json_t *ledger = json_object_get(root, "ledger");
    struct result r = check_sections(root, why);
    if (ok(r) && policy)
        r = read_policy(policy, &rules->gate, why);
    if (ok(r))
        r = read_stages(json_object_get(root, "stages"), &rules->stages, why);
    if (ok(r) && ledger)
        r = ledger_policy_parse(ledger, &rules->ledger, why);
    if (ok(r))
        r = read_monitor(json_object_get(root, "monitor"), &rules->monitor, why);
    if (ok(r))
        rules->gate.signatures_needed = rules->stages.signatures_needed;
    json_decref(root);
    return r;
}

struct result gate_rules_load(const char *path, struct gate_rules *rules, char **ret_text,
                              struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    *rules = gate_rules_default();
    if (ret_text)
        *ret_text = NULL;
    if (!fs_exists(path))
        return DONE;
    TRY(fs_read(path, GATE_POLICY_BYTES_MAX, &text, &n, why));
    struct result r = gate_rules_parse(text, n, rules, why);
    if (!ok(r))
        return failed_in(why, r, "%s", path);
    if (ret_text) {
        *ret_text = text;
        text = NULL;
    }
    return DONE;
}
