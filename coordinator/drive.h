/* SPDX-License-Identifier: Apache-2.0 */
/* The only place where the engine's effects become store writes, messages and work.
 *
 * The owner feeds it link events and time, from epoll in the daemon or from a simulator's clock.
 * Every step is stored before anything of it is sent. */
#ifndef CONSILIUM_COORDINATOR_DRIVE_H
#define CONSILIUM_COORDINATOR_DRIVE_H

#include "coordinator/gate_policy.h"
#include "coordinator/store.h"
#include "proto/link.h"
#include "proto/transfer.h"

enum drive_role { DRIVE_SITE = 1, DRIVE_OPERATOR, DRIVE_RESEARCHER, DRIVE_AUDITOR };

/* What the drive knows of a member of the consortium. */
struct drive_member {
    char name[PLAN_NAME_BYTES];
    enum drive_role role;
    bool revoked;
    unsigned char sign_public[ENVELOPE_SIGN_PUBLIC_BYTES];
    unsigned char seal_public[SEAL_PUBLIC_BYTES];
};

/* All borrowed for the life of the drive. */
struct drive_options {
    const char *consortium;
    const char *name;                 /* of the coordinator */
    const unsigned char *sign_secret; /* [ENVELOPE_SIGN_SECRET_BYTES] */
    const unsigned char *sign_public; /* [ENVELOPE_SIGN_PUBLIC_BYTES] */
    const unsigned char *seal_public; /* [SEAL_PUBLIC_BYTES] */
    const unsigned char *seal_secret; /* [SEAL_SECRET_BYTES] */
    struct store *store;
    struct link *link;
    const struct gate_rules *gate; /* NULL = the defaults */
    unsigned threads;              /* that aggregate; 0 = one for each core */
    /* Looks a member up in the roster of the moment; false when there is none. */
    bool (*find)(void *context, const char *name, struct drive_member *member);
    void *context;
};

struct drive;

/* Loads the studies that are not over and tells each of them that the process is new. */
struct result drive_open(const struct drive_options *options, uint64_t now_ms,
                         struct drive **ret_drive, struct why *why) MUST_CHECK;
void drive_close(struct drive *drive);

/* Takes every event that waits at the link, works, and sends what the link takes. Call it when the
 * link's descriptor is readable and after drive_timer. */
void drive_run(struct drive *drive, uint64_t now_ms);

/* Timers that are due; early calls are harmless. */
void drive_timer(struct drive *drive, uint64_t now_ms);

/* When drive_timer is due (Unix ms); UINT64_MAX = nothing to wait for. */
uint64_t drive_wake(const struct drive *drive);

/* The roster changed: revoked sites leave their studies. */
void drive_roster_changed(struct drive *drive, uint64_t now_ms);

/* Studies that were active once in this process, and those that still are. */
void drive_count(const struct drive *drive, size_t *ret_studies, size_t *ret_active);

#endif
