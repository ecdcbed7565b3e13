/* SPDX-License-Identifier: Apache-2.0 */
/* A binary counter of subtree sums. */
#include "coordinator/aggregate/gram.h"

#include <stdlib.h>
#include <string.h>

static size_t packed_count(size_t n)
{
    return n * (n + 1) / 2;
}

void gram_init(struct gram *gram, size_t n, size_t first)
{
    memset(gram, 0, sizeof *gram);
    gram->n = n;
    gram->first = gram->past = first;
}

void gram_free(struct gram *gram)
{
    for (size_t k = 0; k < gram->count; k++)
        free(gram->node[k].packed);
    free(gram->spare);
    gram_init(gram, gram->n, gram->first);
}

double *gram_room(struct gram *gram)
{
    size_t count = packed_count(gram->n);
    double *packed = gram->spare;
    gram->spare = NULL;
    if (!packed)
        return calloc(count, sizeof *packed);
    memset(packed, 0, count * sizeof *packed);
    return packed;
}

static void recycle(struct gram *gram, double *packed)
{
    if (gram->spare)
        free(packed);
    else
        gram->spare = packed;
}

/* Appends a subtree and merges siblings, left + right, for as long as the last two are. */
static void append(struct gram *gram, struct gram_node node)
{
    gram->node[gram->count++] = node;
    while (gram->count >= 2) {
        struct gram_node *left = &gram->node[gram->count - 2];
        struct gram_node *right = &gram->node[gram->count - 1];
        if (left->level != right->level || left->index % 2 || left->index + 1 != right->index)
            return;
        for (size_t k = 0; k < packed_count(gram->n); k++)
            left->packed[k] += right->packed[k];
        recycle(gram, right->packed);
        left->level++;
        left->index /= 2;
        gram->count--;
    }
}

void gram_add(struct gram *gram, double *packed)
{
    append(gram, (struct gram_node){0, gram->past, packed});
    gram->past++;
}

bool gram_join(struct gram *gram, struct gram *next)
{
    if (gram->n != next->n || gram->past != next->first)
        return false;
    for (size_t k = 0; k < next->count; k++)
        append(gram, next->node[k]);
    gram->past = next->past;
    next->count = 0;
    next->first = next->past;
    return true;
}

void gram_total(struct gram *gram, double *full)
{
    size_t n = gram->n;
    while (gram->count > 1) {
        double *left = gram->node[gram->count - 2].packed;
        double *right = gram->node[gram->count - 1].packed;
        for (size_t k = 0; k < packed_count(n); k++)
            left[k] += right[k];
        recycle(gram, right);
        gram->count--;
    }
    const double *packed = gram->node[0].packed;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            full[i * n + j] = full[j * n + i] = packed[i * (i + 1) / 2 + j];
    gram_free(gram);
}
