/* SPDX-License-Identifier: Apache-2.0 */
/* The consortium's members, their roles and keys: a JSON file signed by the coordinator
 * (proto/signed_text.h, label "consilium roster 1"). */
#ifndef CONSILIUM_ROSTER_H
#define CONSILIUM_ROSTER_H

#include "proto/base/result.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum {
    ROSTER_NAME_BYTES = 64,
    ROSTER_KEY_BYTES = 32,         /* public keys: Ed25519, X25519 */
    ROSTER_SIGN_SECRET_BYTES = 64, /* the coordinator's Ed25519 key */
    ROSTER_SERIAL_BYTES = 16,
    ROSTER_REASON_BYTES = 200,
    ROSTER_MEMBERS_MAX = 1024, /* revoked ones included */
    ROSTER_FILE_MAX = 1000000,
};

enum role { ROLE_SITE = 1, ROLE_OPERATOR, ROLE_RESEARCHER, ROLE_AUDITOR, ROLE_COORDINATOR };

/* "site", "operator", ... */
const char *role_name(enum role role);

/* False for anything that role_name does not give. */
bool role_parse(enum role *role, const char *text);

struct roster_member {
    char name[ROSTER_NAME_BYTES];
    enum role role;
    unsigned char sign_key[ROSTER_KEY_BYTES];
    unsigned char seal_key[ROSTER_KEY_BYTES];
    unsigned char serial[ROSTER_SERIAL_BYTES]; /* of the certificate */
    uint64_t added_s;                          /* Unix time */
    uint64_t revoked_s;                        /* 0 = a member */
    char reason[ROSTER_REASON_BYTES];          /* of the revocation */
};

/* Large: allocate it once. A name has at most one entry that is not revoked. */
struct roster {
    char consortium[ROSTER_NAME_BYTES];
    uint64_t version; /* one higher at every change */
    size_t count;
    struct roster_member members[ROSTER_MEMBERS_MAX];
};

/* The member of that name, or NULL when there is none or it is revoked. */
const struct roster_member *roster_find(const struct roster *roster, const char *name);

/* The latest entry of that name, revoked or not, or NULL: for telling why somebody is refused. */
const struct roster_member *roster_find_any(const struct roster *roster, const char *name);

/* Adds a member and raises the version. RESULT_REFUSED when the name is taken, a key is already
 * known (revoked ones too), or the roster is full; then nothing is changed. */
struct result roster_add(struct roster *roster, const struct roster_member *member,
                         struct why *why) MUST_CHECK;

/* Revokes a member and raises the version. RESULT_INPUT when there is no such member. */
struct result roster_revoke(struct roster *roster, const char *name, uint64_t now_s,
                            const char *reason, struct why *why) MUST_CHECK;

/* Reads a roster file's bytes. RESULT_REFUSED for a wrong signature, RESULT_INPUT for the rest;
 * roster is then undefined. */
struct result roster_parse(struct roster *roster, const char *bytes, size_t n,
                           const unsigned char coordinator[ROSTER_KEY_BYTES],
                           struct why *why) MUST_CHECK;

/* Writes and signs; *ret_text is owned by the caller (free). */
struct result roster_print(const struct roster *roster,
                           const unsigned char secret[ROSTER_SIGN_SECRET_BYTES], char **ret_text,
                           size_t *ret_n, struct why *why) MUST_CHECK;

/* A roster file that is read again when it changes. Zero-initialise but path and key. */
struct roster_file {
    const char *path; /* borrowed */
    unsigned char coordinator[ROSTER_KEY_BYTES];
    struct timespec modified;
    ino_t inode;
};

/* Reads the file if it is not the one read last, and then sets *ret_changed. A file that is wrong,
 * older in version than roster, or gone leaves roster as it is; it is tried again next time. */
struct result roster_refresh(struct roster_file *file, struct roster *roster, bool *ret_changed,
                             struct why *why) MUST_CHECK;

#endif
