/* SPDX-License-Identifier: Apache-2.0 */
/* The one study that is loaded: its plan and the site's patients as the plan wants them. */
#ifndef CONSILIUM_VAULT_ROOM_H
#define CONSILIUM_VAULT_ROOM_H

#include "agent/vault/slot.h"
#include "agent/vault/train.h"
#include "agent/vault/vault.h"
#include "proto/compress/feedback.h"

#include <sys/stat.h>

struct room {
    char study[PLAN_NAME_BYTES];
    struct plan plan;
    struct dataset data;
    bool loaded;              /* data */
    struct stat file;         /* of the data when they were read */
    struct trainer *trainer;  /* NULL until the first round */
    struct feedback feedback; /* what topk-ef dropped so far; starts again with every entering */
    bool measured;            /* speed */
    struct slot_speed speed;
};

/* The plan inside a researcher's signed launch. Checks signature, consortium and study.
 * researcher [PLAN_NAME_BYTES]. On success the caller owns *plan. */
struct result room_launch(struct vault *vault, const char *study,
                          const unsigned char researcher_key[32], const unsigned char *launch,
                          size_t launch_n, struct plan *plan, char *researcher,
                          struct why *why) MUST_CHECK;

/* Makes the study the loaded one; takes *plan over (also on failure). Reads no patient. */
struct result room_enter(struct vault *vault, const char *study, struct plan *plan,
                         struct why *why) MUST_CHECK;

/* Makes a study of the ledger the loaded one, from its launch in the ledger. */
struct result room_enter_known(struct vault *vault, const struct ledger_study *study,
                               struct why *why) MUST_CHECK;

/* Reads the patients of the loaded study unless that was done. The sentence names file, line and
 * column: it is for the site's own log. */
struct result room_load(struct vault *vault, struct why *why) MUST_CHECK;

/* Whether what the loaded study releases leaves in slots. */
bool room_on_time(const struct vault *vault);

/* How fast this machine is at the loaded study, measured once; nothing where it has no slots.
 * noise: the study's noise multiplier. */
struct result room_measure(struct vault *vault, double noise, struct why *why) MUST_CHECK;

/* The least cell of which anything may be told: the larger of the policy's and the plan's. */
unsigned room_min_cell(const struct vault *vault);

/* Forgets the patients if their file has changed since they were read; or in any case. */
void room_refresh(struct vault *vault);
void room_forget(struct vault *vault);

void room_leave(struct vault *vault);

#endif
