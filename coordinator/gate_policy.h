/* SPDX-License-Identifier: Apache-2.0 */
/* The consortium's thresholds of the gate, of the stages and of the alpha ledger. */
#ifndef CONSILIUM_COORDINATOR_GATE_POLICY_H
#define CONSILIUM_COORDINATOR_GATE_POLICY_H

#include "coordinator/validate/family_ledger.h"
#include "coordinator/validate/gate.h"
#include "coordinator/validate/monitor.h"
#include "coordinator/validate/stage.h"

enum { GATE_POLICY_BYTES_MAX = 64 * 1024 };

struct gate_rules {
    struct gate_policy gate;
    struct stage_policy stages;
    struct ledger_policy ledger;
    struct monitor_policy monitor;
};

/* The defaults of gate.h, stage.h and family_ledger.h, with calibration, fairness and two
 * signatures asked for and the ledger off. */
struct gate_rules gate_rules_default(void);

/* Reads {"policy": {...as gate_json.h...}, "stages": {"shadow_min_days", "pilot_min_days",
 * "signatures_needed"}, "ledger": {...as family_ledger.h...}}; what is left out keeps its default.
 * RESULT_INPUT with the reason on anything else. */
struct result gate_rules_parse(const char *text, size_t n, struct gate_rules *rules,
                               struct why *why) MUST_CHECK;

/* The same from a file; a missing file is the default. ret_text, if not NULL: its text (free), NULL
 * when there is none. */
struct result gate_rules_load(const char *path, struct gate_rules *rules, char **ret_text,
                              struct why *why) MUST_CHECK;

#endif
