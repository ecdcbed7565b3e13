/* SPDX-License-Identifier: Apache-2.0 */
/* The change control plan: read strictly, applied literally. */
#include "coordinator/validate/pccp.h"

#include "proto/base/cleanup.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned bit;
} CHANGES[] = {
    {"retrain", PCCP_RETRAIN},
    {"recalibrate", PCCP_RECALIBRATE},
    {"threshold", PCCP_THRESHOLD},
    {"new_site", PCCP_NEW_SITE},
    {"hyperparameters", PCCP_HYPERPARAMETERS},
    {"features", PCCP_FEATURES},
    {"architecture", PCCP_ARCHITECTURE},
    {"intended_use", PCCP_INTENDED_USE},
};
enum { CHANGE_COUNT = sizeof CHANGES / sizeof *CHANGES };

void pccp_words(unsigned changes, char *text, size_t n)
{
    size_t used = 0;
    snprintf(text, n, "none");
    for (size_t k = 0; k < CHANGE_COUNT && used < n; k++) {
        if (!(changes & CHANGES[k].bit))
            continue;
        int more = snprintf(text + used, n - used, "%s%s", used ? ", " : "", CHANGES[k].name);
        used += more > 0 ? (size_t)more : 0;
    }
}

static void drop_json(json_t **value)
{
    json_decref(*value);
}

static struct result read_allowed(const json_t *value, unsigned *allowed, struct why *why)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        size_t k = 0;
        while (k < CHANGE_COUNT && (!name || strcmp(name, CHANGES[k].name) != 0))
            k++;
        if (k == CHANGE_COUNT)
            return failed(why, RESULT_INPUT, "the change plan allows an unknown class '%.40s'",
                          name ? name : "?");
        if (CHANGES[k].bit == PCCP_INTENDED_USE)
            return failed(why, RESULT_INPUT,
                          "a change of the intended use cannot be agreed beforehand");
        *allowed |= CHANGES[k].bit;
    }
    return DONE;
}

static struct result read_real(const json_t *value, const char *key, double *out, struct why *why)
{
    *out = json_number_value(value);
    if (!json_is_number(value) || !isfinite(*out))
        return failed(why, RESULT_INPUT, "'%s' of the change plan must be a number", key);
    return DONE;
}

static struct result read_whole(const json_t *value, const char *key, int64_t *out, struct why *why)
{
    *out = json_integer_value(value);
    if (!json_is_integer(value) || *out < 0)
        return failed(why, RESULT_INPUT, "'%s' of the change plan must be a whole number", key);
    return DONE;
}

static struct result read_key(const char *key, const json_t *value, struct pccp *plan,
                              struct why *why)
{
    if (strcmp(key, "allowed") == 0)
        return read_allowed(value, &plan->allowed, why);
    if (strcmp(key, "threshold") == 0) {
        TRY(read_real(json_array_get(value, 0), key, &plan->threshold_min, why));
        return read_real(json_array_get(value, 1), key, &plan->threshold_max, why);
    }
    if (strcmp(key, "patients_min") == 0) {
        int64_t whole;
        TRY(read_whole(value, key, &whole, why));
        plan->patients_min = (uint64_t)whole;
        return DONE;
    }
    if (strcmp(key, "ni_margin_max") == 0)
        return read_real(value, key, &plan->ni_margin_max, why);
    if (strcmp(key, "auc_floor_min") == 0)
        return read_real(value, key, &plan->auc_floor_min, why);
    if (strcmp(key, "expires_ms") == 0)
        return read_whole(value, key, &plan->expires_ms, why);
    if (strcmp(key, "notify_sites") == 0) {
        plan->notify_sites = json_is_true(value);
        return json_is_boolean(value)
                   ? DONE
                   : failed(why, RESULT_INPUT, "'notify_sites' must be true or false");
    }
    if (strcmp(key, "test_set_sha256") == 0) {
        const char *text = json_string_value(value);
        if (!text || strlen(text) != PCCP_HASH_TEXT - 1)
            return failed(why, RESULT_INPUT, "'test_set_sha256' must be 64 hex digits");
        snprintf(plan->test_set_sha256, sizeof plan->test_set_sha256, "%s", text);
        return DONE;
    }
    return failed(why, RESULT_INPUT, "the change plan has an unknown key '%.40s'", key);
}

struct result pccp_read(const char *text, size_t n, struct pccp *plan, struct why *why)
{
    *plan = (struct pccp){.threshold_max = 1.0, .ni_margin_max = 1.0};
    if (n == 0 || n > PCCP_BYTES_MAX)
        return failed(why, RESULT_INPUT, "a change plan has 1 to %d bytes", PCCP_BYTES_MAX);
    json_error_t error;
    CLEANUP(drop_json) json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root))
        return failed(why, RESULT_INPUT, "the change plan is no JSON object: line %d: %s",
                      error.line, error.text);
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) TRY(read_key(key, value, plan, why));
    return DONE;
}

struct result pccp_covers(const struct pccp *plan, const struct pccp_request *request,
                          struct why *why)
{
    if (plan->expires_ms && request->now_ms > plan->expires_ms)
        return failed(why, RESULT_REFUSED, "the change plan has expired");
    for (size_t k = 0; k < CHANGE_COUNT; k++) {
        if (request->changes & CHANGES[k].bit & ~plan->allowed)
            return failed(why, RESULT_REFUSED, "the change plan does not allow '%s'",
                          CHANGES[k].name);
    }
    if ((request->changes & PCCP_THRESHOLD) &&
        !(request->threshold >= plan->threshold_min && request->threshold <= plan->threshold_max))
        return failed(why, RESULT_REFUSED, "threshold %.4f is outside %.4f to %.4f",
                      request->threshold, plan->threshold_min, plan->threshold_max);
    if (request->patients < plan->patients_min)
        return failed(why, RESULT_REFUSED, "%llu patients validated it, the plan asks for %llu",
                      (unsigned long long)request->patients,
                      (unsigned long long)plan->patients_min);
    if (!(request->ni_margin <= plan->ni_margin_max))
        return failed(why, RESULT_REFUSED, "the gate's margin %.4f is wider than the plan's %.4f",
                      request->ni_margin, plan->ni_margin_max);
    if (!(request->auc_floor >= plan->auc_floor_min))
        return failed(why, RESULT_REFUSED, "the gate's floor %.4f is below the plan's %.4f",
                      request->auc_floor, plan->auc_floor_min);
    if (*plan->test_set_sha256 &&
        (!request->test_set_sha256 || strcmp(plan->test_set_sha256, request->test_set_sha256) != 0))
        return failed(why, RESULT_REFUSED, "the holdout is not the one that the plan names");
    return DONE;
}
