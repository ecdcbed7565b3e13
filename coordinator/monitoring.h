/* SPDX-License-Identifier: Apache-2.0 */
/* A watched model: its terms, fixed at the start, and what each look concludes from a validation
 * (pure). The daemon computes it, an auditor's replay computes it again, bit for bit. */
#ifndef CONSILIUM_COORDINATOR_MONITORING_H
#define CONSILIUM_COORDINATOR_MONITORING_H

#include "coordinator/validate/monitor.h"
#include "proto/plan.h"

#include <jansson.h>

enum {
    MONITORING_INTERVAL_MS_MIN = 1000,
    MONITORING_OWNER_BYTES = PLAN_NAME_BYTES,
};
#define MONITORING_INTERVAL_MS_MAX (INT64_C(366) * 24 * 3600 * 1000)

/* What is agreed when monitoring starts. */
struct monitoring_terms {
    unsigned char model[PLAN_HASH_BYTES];
    const char *study;
    const char *owner;   /* who answers a finding within its deadline */
    int64_t interval_ms; /* between scheduled looks; 0 = looks on request only */
    struct monitor_policy policy;
    uint32_t baseline_task;
    json_t *baseline; /* validation_summary of that task; borrowed */
};

/* The terms as JSON (new reference): {"model", "study", "owner", "interval_ms", "policy",
 * "baseline_task", "baseline"}. RESULT_INPUT when something is out of bounds or the baseline has no
 * AUROC. */
struct result monitoring_terms_json(const struct monitoring_terms *terms, json_t **ret_terms,
                                    struct why *why) MUST_CHECK;

/* Progress before the first look (new reference). */
json_t *monitoring_begin(void);

/* One look: terms and progress as above, summary a validation_summary. *ret_record (new reference)
 * is {"look", "task", "ms", "severity", "deadline_ms", "findings": [{"scope", "rule", "severity",
 * "known", "value", "threshold", "z", "bound", "deadline_ms", "words"}], "progress"}; its progress
 * is what the next look takes. Pooled rules use the bound of this look at alpha, each site's rules
 * at alpha over the number of sites. A look to which no site gave an AUROC spends nothing and
 * counts for nothing: severity "unknown". */
struct result monitoring_look(const json_t *terms, const json_t *progress, const json_t *summary,
                              uint32_t task, int64_t now_ms, json_t **ret_record,
                              enum monitor_severity *ret_severity, struct why *why) MUST_CHECK;

/* The record's text as it is logged: compact JSON (free). */
struct result monitoring_text(const json_t *record, char **ret_text, struct why *why) MUST_CHECK;

/* The sentence of the record's worst finding, for reasons and incidents. */
void monitoring_words(const json_t *record, char *out, size_t n);

/* Looks counted so far and the number agreed. */
unsigned monitoring_looks_done(const json_t *progress);
unsigned monitoring_looks_planned(const json_t *terms);

#endif
