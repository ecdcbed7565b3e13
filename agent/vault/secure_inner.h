/* SPDX-License-Identifier: Apache-2.0 */
/* One study's secure round at a site: shared by secure.c and secure_kept.c. */
#ifndef CONSILIUM_VAULT_SECURE_INNER_H
#define CONSILIUM_VAULT_SECURE_INNER_H

#include "agent/vault/secure.h"
#include "privacy/mask.h"

struct secure_round {
    char study[PLAN_NAME_BYTES];
    uint32_t round, first; /* first: number of its KEYS task */
    uint32_t stages;       /* done */
    uint64_t kept;         /* times it was written to disk */
    unsigned self, sites;
    struct rng rng;
    struct mask_site *mask; /* wiped when freed */
    unsigned char plan_hash[PLAN_HASH_BYTES];
    /* until TRAIN is done */
    unsigned char model_hash[PLAN_HASH_BYTES];
    struct secure_scope scope;
    struct payload_model_set models;
    bool present[PLAN_SITES_MAX];
};

/* Wipes and frees; what is on disk stays. */
void secure_round_free(struct secure_round *round);

#endif
