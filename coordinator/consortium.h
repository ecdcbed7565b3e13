/* SPDX-License-Identifier: Apache-2.0 */
/* The consortium's folder on the operator's machine (docs/consortium-folder.md): its authority, the
 * coordinator's identity, the roster and the broker's files. */
#ifndef CONSILIUM_CONSORTIUM_H
#define CONSILIUM_CONSORTIUM_H

#include "proto/enrol.h"
#include "proto/identity.h"
#include "proto/roster.h"

/* Who the coordinator is to everybody, and the first operator. */
#define CONSORTIUM_COORDINATOR "coordinator"
#define CONSORTIUM_OPERATOR "operator"

struct consortium {
    char folder[FS_PATH_BYTES]; /* absolute */
    char roster_path[FS_PATH_BYTES];
    struct identity identity; /* the coordinator's, from FOLDER/coordinator */
};

struct consortium_options {
    const char *name;
    const char *host; /* how members reach the broker: DNS name or address */
    uint16_t port;
};

/* Makes the folder: authority, coordinator, broker, roster, and an enrolled operator in
 * FOLDER/operator. RESULT_INPUT when the folder already holds a consortium or a value is bad. An
 * interrupted making leaves no roster and is refused by the rest; remove the folder and begin
 * again. */
struct result consortium_init(const char *folder, const struct consortium_options *options,
                              struct why *why) MUST_CHECK;

/* Finds the folder's coordinator and roster. */
struct result consortium_open(const char *folder, struct consortium *consortium,
                              struct why *why) MUST_CHECK;

/* Reads the roster; *ret_roster is owned by the caller (free). */
struct result consortium_roster(const struct consortium *consortium, struct roster **ret_roster,
                                struct why *why) MUST_CHECK;

/* What a member compares before it trusts a bundle (enrol_consortium_fingerprint). */
struct result consortium_fingerprint(const struct consortium *consortium,
                                     unsigned char fingerprint[WORDS_FINGERPRINT_BYTES],
                                     struct why *why) MUST_CHECK;

/* Issues the certificate, writes FOLDER/bundles/NAME.bundle (its path to bundle_path), the roster
 * and the broker's access list, and tells the broker. Approving the same request again gives the
 * same bundle. RESULT_REFUSED when the name or a key is taken. */
struct result consortium_approve(const struct consortium *consortium,
                                 const struct enrol_request *request,
                                 char bundle_path[FS_PATH_BYTES], struct why *why) MUST_CHECK;

/* Revokes a member: roster, revocation list, access list; *ret_broker_told when a running broker
 * of this folder was told to read them. */
struct result consortium_revoke(const struct consortium *consortium, const char *name,
                                const char *reason, bool *ret_broker_told,
                                struct why *why) MUST_CHECK;

#endif
