/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the judgement only. */
#ifndef CONSILIUM_COORDINATOR_JUDGE_INNER_H
#define CONSILIUM_COORDINATOR_JUDGE_INNER_H

#include "coordinator/judge.h"

#include <jansson.h>

enum { JUDGE_DETAIL_BYTES = 320 };

/* Rule 1's finding: whether the change is within the plan agreed beforehand. detail belongs to the
 * caller and is what finding->detail points to. sites as the gate will see them. */
void judge_scope(const struct judge_case *in, const struct gate_policy *policy,
                 const struct gate_site *sites, size_t n_sites, struct gate_integrity *finding,
                 char detail[JUDGE_DETAIL_BYTES]);

/* The class names and the plans compared, for the entry; NULL without a change control plan. New
 * reference. */
json_t *judge_change_json(const struct judge_case *in);

/* Rule 9's answer. ledger is moved. sites as the gate will see them. */
struct result judge_alpha(const struct judge_case *in, const struct gate_policy *policy,
                          const struct gate_site *sites, size_t n_sites,
                          struct family_ledger *ledger, struct ledger_answer *answer,
                          struct why *why) MUST_CHECK;

/* For the entry: policy, what this judgement got, hash of the ledger's text after it. */
json_t *judge_ledger_json(const struct judge_case *in, const struct ledger_answer *answer,
                          const char *text);

/* The pooled paired difference candidate less the named model over the reports in use[in->n]; false
 * when no used report compares the two. */
bool judge_pool(const struct judge_case *in, const char *name, const bool *use, double *d,
                double *se);

#endif
