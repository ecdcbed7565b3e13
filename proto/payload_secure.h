/* SPDX-License-Identifier: Apache-2.0 */
/* What travels in the stages of a secure round (privacy/mask.h), beside models and updates.
 *
 *   task     input (coordinator to all)          word (site to coordinator)
 *   KEYS     the model                           advert 96, signature 64
 *   SHARES   the adverts                         n sealed shares, 104 each, zeros for itself
 *   TRAIN    the sealed shares                   an update whose frame is n masked words of 64 bits
 *   AGREE    who delivered a masked update       n tags, 32 each
 *   REVEAL   the tags                            n shares: kind 1, number 1, value 32
 *
 * n is the number of the plan's sites; entries of sites that take no part are zeros. The input of a
 * stage is made of the words of the stage before, so all sites see the same. */
#ifndef CONSILIUM_PAYLOAD_SECURE_H
#define CONSILIUM_PAYLOAD_SECURE_H

#include "privacy/mask.h"
#include "proto/message.h"

enum {
    SECURE_SIGNATURE_BYTES = 64,
    SECURE_ADVERT_BYTES = 3 * MASK_KEY_BYTES + SECURE_SIGNATURE_BYTES,
    SECURE_REVEAL_BYTES = 2 + SHAMIR_SECRET_BYTES,
    SECURE_PARTS_MAX = MASK_SITES_MAX * MASK_SEALED_BYTES,
    SECURE_MODULUS_BITS = 64,
};

struct secure_word {
    enum task_kind stage;
    uint32_t round;
    size_t n;
    unsigned char *parts; /* [n], owned */
};

/* Encodes; *ret_bytes is the caller's (free). */
struct result secure_word_encode(const struct secure_word *word, unsigned char **ret_bytes,
                                 size_t *ret_n, struct why *why) MUST_CHECK;
/* RESULT_INPUT unless the word is one of that stage and round with the length that `sites` sites
 * ask for. End with secure_word_free. */
struct result secure_word_decode(struct secure_word *word, const unsigned char *bytes, size_t n,
                                 enum task_kind stage, uint32_t round, unsigned sites,
                                 struct why *why) MUST_CHECK;
void secure_word_free(struct secure_word *word);

/* Bytes of a word's parts for a study of that many sites; 0 for kinds without one. */
size_t secure_parts_bytes(enum task_kind stage, unsigned sites);

struct secure_entry {
    uint32_t site;              /* place in the plan */
    unsigned char sign_key[32]; /* the site's, as the coordinator's roster has it */
    unsigned char *word;        /* [n] encoded, owned; none in the input of AGREE */
    size_t n;
};

/* The entries stand in the order of the plan, each site at most once. */
struct secure_input {
    enum task_kind stage; /* of the task that it is for */
    uint32_t round;
    size_t count;
    struct secure_entry *entries; /* owned */
};

struct result secure_input_encode(const struct secure_input *input, unsigned char **ret_bytes,
                                  size_t *ret_n, struct why *why) MUST_CHECK;
/* RESULT_INPUT unless it is for that stage and round of a study of that many sites. End with
 * secure_input_free. */
struct result secure_input_decode(struct secure_input *input, const unsigned char *bytes, size_t n,
                                  enum task_kind stage, uint32_t round, unsigned sites,
                                  struct why *why) MUST_CHECK;
void secure_input_free(struct secure_input *input);

/* What a site's signature on its advert covers besides the advert: a site that was given another
 * plan, round or model than its peers finds none of their signatures good. */
struct secure_scope {
    const char *study;
    const unsigned char *plan_hash;  /* [PLAN_HASH_BYTES] */
    const unsigned char *model_hash; /* [PLAN_HASH_BYTES]: the round's model */
    uint32_t task;                   /* number of the KEYS task */
    uint32_t round;
};

/* parts [SECURE_ADVERT_BYTES] = advert and signature by sign_secret [64]. */
void secure_advert_sign(const struct secure_scope *scope, const char *site,
                        const struct mask_advert *advert, const unsigned char *sign_secret,
                        unsigned char *parts);

/* Takes the advert of `site` out of parts; false when the signature is not by sign_key [32]. */
bool secure_advert_open(const struct secure_scope *scope, const char *site,
                        const unsigned char *parts, const unsigned char *sign_key,
                        struct mask_advert *advert);

/* Number that binds masks and shares to the scope. */
uint64_t secure_scope_number(const struct secure_scope *scope);

/* parts [sites * SECURE_REVEAL_BYTES] and back; false for what is no reveal. */
void secure_reveals_put(const struct mask_reveal *reveals, unsigned sites, unsigned char *parts);
bool secure_reveals_get(const unsigned char *parts, unsigned sites, struct mask_reveal *reveals);

#endif
