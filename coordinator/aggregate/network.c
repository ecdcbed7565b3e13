/* SPDX-License-Identifier: Apache-2.0 */
/* Batcher's merge exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm M), then
 * pruned from its end: every wire ends as dropped low, kept, or dropped high. A comparator between
 * two wires of one fate changes nothing that is read; one of which a side is dropped keeps half. */
#include "coordinator/aggregate/network.h"

#include <stdlib.h>
#include <string.h>

/* Appends when step is not NULL; returns the number of comparators. */
static size_t merge_exchange(size_t n, struct comparator *step)
{
    size_t count = 0;
    size_t top = 1;
    while (top < n)
        top *= 2;
    for (size_t p = top / 2; p > 0; p /= 2) {
        size_t q = top / 2;
        size_t r = 0;
        size_t d = p;
        for (;;) {
            for (size_t i = 0; i + d < n; i++) {
                if ((i & p) != r)
                    continue;
                if (step)
                    step[count] =
                        (struct comparator){(uint16_t)i, (uint16_t)(i + d), COMPARATOR_BOTH};
                count++;
            }
            if (q == p)
                break;
            d = q - p;
            q /= 2;
            r = p;
        }
    }
    return count;
}

/* The fate of a wire's value from some point on. */
enum fate { FATE_LOW, FATE_KEPT, FATE_HIGH, FATE_COMPARED };

/* Marks comparators to drop (kind 0xffff) from the last to the first. */
static void prune(struct network *network, bool sorted)
{
    enum { DROPPED = 0xffff };
    enum fate of[NETWORK_WIRES_MAX];
    for (size_t i = 0; i < network->n; i++)
        of[i] = i < network->first ? FATE_LOW : i < network->past ? FATE_KEPT : FATE_HIGH;
    for (size_t k = network->count; k-- > 0;) {
        struct comparator *c = &network->step[k];
        enum fate low = of[c->low];
        enum fate high = of[c->high];
        bool same = low == high && low != FATE_COMPARED && (low != FATE_KEPT || !sorted);
        if (same) {
            c->kind = DROPPED;
            continue;
        }
        bool low_read = low == FATE_KEPT || low == FATE_COMPARED;
        bool high_read = high == FATE_KEPT || high == FATE_COMPARED;
        c->kind = low_read && high_read ? COMPARATOR_BOTH
                  : low_read            ? COMPARATOR_MIN
                                        : COMPARATOR_MAX;
        of[c->low] = of[c->high] = FATE_COMPARED;
    }
    size_t kept = 0;
    for (size_t k = 0; k < network->count; k++)
        if (network->step[k].kind != DROPPED)
            network->step[kept++] = network->step[k];
    network->count = kept;
}

bool network_build(size_t n, size_t first, size_t past, bool sorted, struct network *network)
{
    memset(network, 0, sizeof *network);
    if (n > NETWORK_WIRES_MAX || first >= past || past > n)
        return false;
    network->n = n;
    network->first = first;
    network->past = past;
    network->count = merge_exchange(n, NULL);
    network->step = calloc(network->count + 1, sizeof *network->step);
    if (!network->step)
        return false;
    merge_exchange(n, network->step);
    prune(network, sorted);
    return true;
}

void network_free(struct network *network)
{
    free(network->step);
    memset(network, 0, sizeof *network);
}
