/* SPDX-License-Identifier: Apache-2.0 */
/* Who the site is, and whose signatures its vault believes. */
#ifndef CONSILIUM_VAULT_KEYS_H
#define CONSILIUM_VAULT_KEYS_H

#include "proto/envelope.h"
#include "proto/identity.h"
#include "proto/transfer.h"

struct vault_keys {
    char site[PLAN_NAME_BYTES];
    char consortium[PLAN_NAME_BYTES];
    char coordinator[PLAN_NAME_BYTES];
    unsigned char sign_public[ENVELOPE_SIGN_PUBLIC_BYTES];
    unsigned char seal_public[SEAL_PUBLIC_BYTES];
    unsigned char coordinator_sign[ENVELOPE_SIGN_PUBLIC_BYTES];
    unsigned char coordinator_seal[SEAL_PUBLIC_BYTES];
    struct identity_secrets secrets; /* locked memory */
};

/* From the identity folder. Errors: as identity_load_enrolled and identity_load_secrets. */
struct result vault_keys_load(struct vault_keys *keys, const char *identity_folder,
                              struct why *why) MUST_CHECK;

void vault_keys_free(struct vault_keys *keys);

#endif
