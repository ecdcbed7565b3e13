/* SPDX-License-Identifier: Apache-2.0 */
/* Thousands of sites: secret random groups, a robust rule inside each, a robust rule over the
 * groups.
 *
 * Drawn after all updates are committed, a group of g has more than f_g = ceil(g delta + 3 sqrt(g
 * delta (1 - delta))) hostile members of a fraction delta with probability at most
 * exp(-2 g (f_g/g - delta)^2) (Hoeffding, Journal of the ASA 1963). Groups are independent work. */
#ifndef CONSILIUM_AGGREGATE_GROUP_H
#define CONSILIUM_AGGREGATE_GROUP_H

#include "coordinator/aggregate/aggregate.h"
#include "privacy/rng.h"

enum { GROUP_SITES_MAX = 1 << 20, GROUP_SIZE = 100, GROUP_FROM_SITES = 500 };

struct groups {
    size_t n;
    size_t size; /* members of a full group; the last groups may have one less */
    size_t count;
    uint32_t *order; /* [n], owned: members of group k at group_first(k).. */
};

/* Deals n sites into groups of about size, by a permutation from rng. RESULT_INPUT for n or size
 * out of bounds. group_free. */
struct result group_draw(size_t n, size_t size, struct rng *rng, struct groups *groups,
                         struct why *why) MUST_CHECK;
void group_free(struct groups *groups);

/* First position of group k in order; group k has group_first(k+1) - group_first(k) members. */
size_t group_first(const struct groups *groups, size_t k);

/* Hostile members to expect at most in a group of size when f of n sites are hostile. */
size_t group_hostile(size_t size, size_t n, size_t f);

/* log10 of the bound on the probability that one group has more of them. */
double group_failure_log10(size_t size, size_t n, size_t f);

/* Runs inner (its f is set here, per group) in every group and outer, with the f it has, over the
 * groups' results. source->n is the number of sites, in ascending order; each group sees its
 * members in ascending order too. Needs count x d floats. Errors as agg_run. */
struct result group_run(const struct groups *groups, struct agg_rule *inner, size_t f,
                        const struct agg_rule *outer, const struct agg_source *source,
                        unsigned threads, float *out, struct why *why) MUST_CHECK;

#endif
