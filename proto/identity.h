/* SPDX-License-Identifier: Apache-2.0 */
/* A member's folder: who it is, its keys, and the consortium that it belongs to.
 *
 *   member.json      name, role, public keys
 *   tls.key          EC P-256 private key, PEM: for the process with the network
 *   sign.key         Ed25519 secret key, 64 bytes: for the process that signs
 *   seal.key         X25519 secret key, 32 bytes: for the process that opens what is sealed to it
 *   NAME.request     what the operator approves (proto/enrol.h)
 *   tls.crt, ca.crt, consortium.json   from the enrolment bundle, once installed
 *
 * The folder has mode 0700 and every file 0600. */
#ifndef CONSILIUM_IDENTITY_H
#define CONSILIUM_IDENTITY_H

#include "proto/base/fs.h"
#include "proto/roster.h"

enum {
    IDENTITY_SIGN_SECRET_BYTES = 64,
    IDENTITY_SEAL_SECRET_BYTES = 32,
    IDENTITY_HOST_BYTES = 128,
    IDENTITY_BINDING_BYTES = 32,
    IDENTITY_FILE_MAX = 16384,
};

struct identity_public {
    char name[ROSTER_NAME_BYTES];
    enum role role;
    unsigned char sign_key[ROSTER_KEY_BYTES];
    unsigned char seal_key[ROSTER_KEY_BYTES];
};

/* Everything but the secrets. */
struct identity {
    struct identity_public self;
    char folder[FS_PATH_BYTES];
    char key_file[FS_PATH_BYTES], certificate_file[FS_PATH_BYTES], ca_file[FS_PATH_BYTES];
    bool enrolled; /* what follows is known */
    char consortium[ROSTER_NAME_BYTES];
    char host[IDENTITY_HOST_BYTES];
    uint16_t port;
    struct identity_public coordinator;
};

/* In memory of sodium_malloc: locked, guarded, wiped when freed. NULL = not loaded. */
struct identity_secrets {
    unsigned char *sign; /* IDENTITY_SIGN_SECRET_BYTES */
    unsigned char *seal; /* IDENTITY_SEAL_SECRET_BYTES */
};

/* Makes the folder and all keys. RESULT_INPUT for a bad name or a folder that already holds a
 * member; a folder whose making was interrupted is made again. */
struct result identity_create(const char *folder, const char *name, enum role role,
                              struct why *why) MUST_CHECK;

/* Reads member.json and, once enrolled, consortium.json; opens no secret key. */
struct result identity_load(const char *folder, struct identity *identity,
                            struct why *why) MUST_CHECK;

/* As identity_load, and RESULT_REFUSED when the member is not enrolled yet. */
struct result identity_load_enrolled(const char *folder, struct identity *identity,
                                     struct why *why) MUST_CHECK;

/* Reads sign.key and seal.key. RESULT_REFUSED when a file is readable by others or does not belong
 * to the public key in member.json. On success wipe with identity_wipe. */
struct result identity_load_secrets(const struct identity *identity,
                                    struct identity_secrets *secrets, struct why *why) MUST_CHECK;

/* Frees and forgets; repeating it is harmless. */
void identity_wipe(struct identity_secrets *secrets);

/* BLAKE2b-256 of both public keys: what the certificate's subject carries. */
void identity_binding(const struct identity_public *who,
                      unsigned char binding[IDENTITY_BINDING_BYTES]);

/* Writes consortium.json: the last step of an enrolment. */
struct result identity_write_consortium(const struct identity *identity,
                                        struct why *why) MUST_CHECK;

/* Fields name, role, sign_key, seal_key of a record. */
struct record;
struct result identity_read_public(struct identity_public *who, const struct record *record,
                                   struct why *why) MUST_CHECK;
void identity_put_public(struct record *record, const struct identity_public *who);

#endif
