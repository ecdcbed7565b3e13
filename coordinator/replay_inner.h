/* SPDX-License-Identifier: Apache-2.0 */
/* Between the replay's two files only. */
#ifndef CONSILIUM_COORDINATOR_REPLAY_INNER_H
#define CONSILIUM_COORDINATOR_REPLAY_INNER_H

#include "coordinator/combine.h"
#include "coordinator/pooling.h"
#include "coordinator/replay.h"

#include <jansson.h>

/* A study as the log tells it. */
struct replay_study {
    char folder[FS_PATH_BYTES];
    struct plan plan;
    struct study members; /* names and declared patients, for the pooling */
    unsigned char keys[PLAN_SITES_MAX][CHAIN_PUBLIC_BYTES];
    double spent[PLAN_SITES_MAX];
    uint32_t ledger_task[PLAN_SITES_MAX];    /* last task of each site, and the length of its */
    uint64_t ledger_records[PLAN_SITES_MAX]; /* privacy ledger that it signed with that */
    struct server server;
    size_t updates_count, evaluations_count;
    struct combine_update updates[PLAN_SITES_MAX];
    struct pooling_input evaluations[PLAN_SITES_MAX];
};

/* Takes a "launched" entry: plan, launch and first model. */
struct result replay_launch(const char *folder, const json_t *entry,
                            struct replay_study **ret_study, struct why *why) MUST_CHECK;
void replay_study_free(struct replay_study *study);

/* A "gate" entry: its inputs are those of the archived evaluations, and give its record again, byte
 * for byte. */
struct result replay_gate(struct replay_study *study, const json_t *entry,
                          struct replay_outcome *outcome, struct why *why) MUST_CHECK;

/* Any later entry of the study. */
struct result replay_entry(struct replay_study *study, const json_t *entry,
                           struct replay_outcome *outcome, struct why *why) MUST_CHECK;

#endif
