/* SPDX-License-Identifier: Apache-2.0 */
/* The privacy statement that goes with every plan, report, exported model and passport: what each
 * patient is promised, from which constants, and what is not covered. */
#ifndef CONSILIUM_STATEMENT_H
#define CONSILIUM_STATEMENT_H

#include "coordinator/study.h"

#include <jansson.h>
#include <stdio.h>

/* Names the accountant whose figures a statement holds; changes when its figures may. */
#define STATEMENT_ACCOUNTANT                                                                       \
    "privacy loss distributions, connect-the-dots in mass form, tilted; Renyi cross-check; "       \
    "consilium " CONSILIUM_VERSION

/* The statement as a JSON object of its lines in order; the caller owns *ret_statement
 * (json_decref). patients: what a site declares (public), the smallest of them for several.
 * RESULT_INPUT where the plan cannot be accounted for or has privacy mode none. */
struct result statement_of_plan(const struct plan *plan, uint64_t patients, json_t **ret_statement,
                                struct why *why) MUST_CHECK;

/* The same for a study under way, at the fewest patients that any of its sites declares; NULL
 * without privacy or before a site declared. */
json_t *statement_of_study(const struct plan *plan, const struct study *study);

/* Puts in what was found and not promised: an audit run's outcome ("consilium privacy audit-run
 * --json", or NULL) and how many updates the noise-floor test looked at and flagged (looked < 0:
 * it did not run). */
void statement_add_findings(json_t *statement, const json_t *audit, long long looked,
                            long long flagged);

/* One line each, for people. */
void statement_print(FILE *out, const json_t *statement);

#endif
