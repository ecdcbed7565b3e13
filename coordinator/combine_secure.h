/* SPDX-License-Identifier: Apache-2.0 */
/* From the counted words of a secure round to the new global model (pure), as combine.h does for
 * single updates: the daemon computes it, and a replay again, bit for bit. */
#ifndef CONSILIUM_COORDINATOR_COMBINE_SECURE_H
#define CONSILIUM_COORDINATOR_COMBINE_SECURE_H

#include "coordinator/combine.h"
#include "proto/payload_secure.h"

/* What the sites said in a round, by place in the plan; empty where a site was not counted. Large:
 * allocate it, zeroed. Owned; combine_words_free. */
struct combine_words {
    uint32_t round;
    struct secure_word keys[PLAN_SITES_MAX]; /* parts: NULL = not counted */
    bool present[PLAN_SITES_MAX];            /* counted in SHARES */
    bool survives[PLAN_SITES_MAX];           /* counted in TRAIN */
    struct payload_update updates[PLAN_SITES_MAX];
    struct secure_word reveals[PLAN_SITES_MAX];
};

/* Takes the payload of a counted object of that stage in. RESULT_INPUT when it is no such thing or
 * the site is counted there already. */
struct result combine_words_take(struct combine_words *words, const struct plan *plan,
                                 enum task_kind stage, uint32_t site, const unsigned char *payload,
                                 size_t n, struct why *why) MUST_CHECK;
/* Forgets the reveals: they are asked for again. */
void combine_words_unreveal(struct combine_words *words);
void combine_words_free(struct combine_words *words); /* leaves it zeroed */

/* Opens the sum of the masked updates, makes the mean of it and applies that to *server. Errors
 * leave *server as it was: RESULT_REFUSED when the sum does not open. The outcome is to be freed
 * after success and failure. */
struct result combine_secure(const struct plan *plan, struct server *server,
                             const struct combine_words *words, const struct secure_scope *scope,
                             struct combine_outcome *outcome, struct why *why) MUST_CHECK;

/* Whether a masked update on its own may be counted: it has the model's size. RESULT_REFUSED with a
 * sentence for the site. */
struct result combine_secure_check(const struct payload_update *update, size_t d,
                                   struct why *why) MUST_CHECK;

#endif
