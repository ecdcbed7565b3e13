/* SPDX-License-Identifier: Apache-2.0 */
/* The consortium's thresholds of the gate and of the stages, from its folder. */
#ifndef CONSILIUM_COORDINATOR_GATE_POLICY_H
#define CONSILIUM_COORDINATOR_GATE_POLICY_H

#include "coordinator/validate/gate.h"
#include "coordinator/validate/stage.h"

enum { GATE_POLICY_BYTES_MAX = 64 * 1024 };

struct gate_rules {
    struct gate_policy gate;
    struct stage_policy stages;
};

/* The defaults of gate.h and stage.h, with calibration, fairness and two signatures asked for. */
struct gate_rules gate_rules_default(void);

/* Reads {"policy": {...as gate_json.h...}, "stages": {"shadow_min_days", "pilot_min_days",
 * "signatures_needed"}}; what is left out keeps its default. A missing file is the default.
 * RESULT_INPUT with the reason on anything else. */
struct result gate_rules_load(const char *path, struct gate_rules *rules,
                              struct why *why) MUST_CHECK;

#endif
