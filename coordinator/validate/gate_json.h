/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's inputs and its record as JSON, for the audit log, and their replay bit for bit. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_GATE_JSON_H
#define CONSILIUM_COORDINATOR_VALIDATE_GATE_JSON_H

#include "coordinator/validate/gate.h"

#include <jansson.h>

enum { GATE_TEXT_MAX = 16 << 20 };

/* Inputs parsed from JSON, with everything they point to. End with gate_parsed_free. */
struct gate_parsed {
    struct gate_input input;
    json_t *root; /* texts live here */
    struct gate_site *sites;
    struct gate_group *groups;
    struct gate_integrity integrity;
    struct gate_ledger ledger;
};

/* {"policy": {...}, "sites": [{"id","status","n_pos","n_neg","auc","var_auc","d","var_d", ...}],
 * "groups", "first", "ledger", "integrity", "signatures"}: only policy and sites are required; a
 * missing or null number is NaN, a missing policy value the default. INPUT on anything of another
 * type or past a limit. */
struct result gate_parse(const json_t *root, struct gate_parsed *out, struct why *why) MUST_CHECK;
void gate_parsed_free(struct gate_parsed *parsed);

/* New references, NULL without memory. Doubles in full precision when dumped with
 * JSON_REAL_PRECISION(17); NaN as null. */
json_t *gate_input_json(const struct gate_input *input);
json_t *gate_record_json(const struct gate_record *record, const struct gate_site *sites,
                         const struct gate_site_verdict *verdicts);

/* Log entries: compact JSON text (free). */
struct result gate_input_text(const struct gate_input *input, char **text,
                              struct why *why) MUST_CHECK;
struct result gate_record_text(const struct gate_record *record, const struct gate_site *sites,
                               const struct gate_site_verdict *verdicts, char **text,
                               struct why *why) MUST_CHECK;

/* Decides again from a logged input and compares with the logged record: REFUSED when a byte
 * differs. */
struct result gate_replay(const char *input, const char *record, struct why *why) MUST_CHECK;

#endif
