/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 6 to 8 of the promotion gate: calibration, fairness, drift. For gate.c only. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_GATE_RULES_H
#define CONSILIUM_COORDINATOR_VALIDATE_GATE_RULES_H

#include "coordinator/validate/gate.h"

/* Writes a rule's outcome and sentence; reason is kept only when the rule holds or rejects. */
void gate_rule_says(struct gate_record *record, int number, enum gate_outcome outcome,
                    const char *reason, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

void gate_rule_calibration(const struct gate_input *in, const struct gate_site_verdict *verdicts,
                           struct gate_record *record);
void gate_rule_fairness(const struct gate_input *in, struct gate_record *record);
void gate_rule_drift(const struct gate_input *in, const struct gate_site_verdict *verdicts,
                     struct gate_record *record);

#endif
