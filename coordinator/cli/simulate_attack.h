/* SPDX-License-Identifier: Apache-2.0 */
/* The gallery of attacks for consilium simulate: one hostile site that sees every honest update of
 * the round before it sends its own. */
#ifndef CONSILIUM_CLI_SIMULATE_ATTACK_H
#define CONSILIUM_CLI_SIMULATE_ATTACK_H

#include "coordinator/simulation.h"

/* One line of the gallery. */
struct attack_kind {
    const char *name;
    const char *summary;
    enum local_site_poison poison; /* of the hostile site's patients */
    unsigned declares;             /* factor on its declared patients; 0 = 1 */
};

/* Closed by a NULL name. */
const struct attack_kind *attack_kinds(void);

struct attack;

/* name: of the gallery, else RESULT_INPUT with the names. hostile is borrowed. site_momentum is the
 * plan's: attacks that measure the spread of honest rows look at what the rule will see. */
struct result attack_create(const char *name, const char *hostile, double site_momentum,
                            struct attack **ret_attack, struct why *why) MUST_CHECK;
void attack_free(struct attack *attack); /* NULL is fine */

const struct attack_kind *attack_kind(const struct attack *attack);

/* For struct simulation_options: context is the attack. Honest updates are looked at, the hostile
 * site's is replaced. */
void attack_tamper(void *context, const char *site, float *update, size_t n);

#endif
