/* SPDX-License-Identifier: Apache-2.0 */
/* Stable orders by (value, index). */
#include "coordinator/aggregate/order.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static bool before(const struct keyed *a, const struct keyed *b)
{
    if (isnan(a->value) || isnan(b->value)) {
        if (isnan(a->value) != isnan(b->value))
            return !isnan(a->value);
        return a->index < b->index;
    }
    if (a->value < b->value)
        return true;
    return a->value == b->value && a->index < b->index;
}

static int compare(const void *left, const void *right)
{
    const struct keyed *a = left;
    const struct keyed *b = right;
    return before(a, b) ? -1 : before(b, a);
}

void order_keyed(size_t n, struct keyed *entries)
{
    enum { SHORT = 24 };
    if (n > SHORT) {
        qsort(entries, n, sizeof *entries, compare);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct keyed moved = entries[i];
        size_t at = i;
        for (; at > 0 && before(&moved, &entries[at - 1]); at--)
            entries[at] = entries[at - 1];
        entries[at] = moved;
    }
}

void order_indices(size_t n, const double *value, uint32_t *index, struct keyed *work)
{
    for (size_t i = 0; i < n; i++)
        work[i] = (struct keyed){value[i], (uint32_t)i};
    order_keyed(n, work);
    for (size_t i = 0; i < n; i++)
        index[i] = work[i].index;
}

static int compare_values(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

double order_median(size_t n, double *values)
{
    qsort(values, n, sizeof *values, compare_values);
    if (n % 2)
        return values[n / 2];
    return (values[n / 2 - 1] + values[n / 2]) / 2.0;
}
