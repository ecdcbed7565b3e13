/* SPDX-License-Identifier: Apache-2.0 */
/* The epoch and drift blocks of an evaluation, between payload.h and the schema. Only
 * payload_evaluation.c uses this. */
#ifndef CONSILIUM_PAYLOAD_DRIFT_H
#define CONSILIUM_PAYLOAD_DRIFT_H

#include "proto/payload.h"
#include "proto/schema/consilium.pb-c.h"

/* Borrows from the evaluation it was made of; ended by payload_drift_wire_free. */
struct payload_drift_wire {
    Cns__HoldoutEpoch epoch;
    Cns__Drift drift;
    Cns__DriftColumn score;
    Cns__DriftColumn *columns;
    Cns__DriftColumn **pointers;
    double *values;
};

/* False without memory. */
bool payload_drift_wire(struct payload_drift_wire *wire,
                        const struct payload_evaluation *evaluation);
void payload_drift_wire_free(struct payload_drift_wire *wire);

/* How many bytes more the two blocks would take with the longest numbers and names; what an
 * encoder adds to have one size for all figures of the same columns. */
size_t payload_drift_slack(const struct payload_drift_wire *wire);

/* from may be NULL (a peer that does not know it): "not told". RESULT_INPUT beyond a limit. */
struct result payload_epoch_read(struct evaluation_epoch *to, const Cns__HoldoutEpoch *from,
                                 struct why *why) MUST_CHECK;
struct result payload_drift_read(struct evaluation_drift *to, const Cns__Drift *from,
                                 struct why *why) MUST_CHECK;

#endif
