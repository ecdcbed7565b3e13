/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops in plain C, four floats at a time: for processors without AVX2. */
#include "coordinator/aggregate/kernels_all.h"
#include "coordinator/aggregate/weights.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    float lane[4];
} vec;

#define PAIR_ROWS 4
enum { V_LANES = 4, MIX_VECTORS = 4 };

#define EACH_LANE(expression)                                                                      \
    vec out_;                                                                                      \
    for (int k = 0; k < V_LANES; k++)                                                              \
        out_.lane[k] = (expression);                                                               \
    return out_

static inline vec v_load(const float *x)
{
    EACH_LANE(x[k]);
}

static inline void v_store(float *x, vec a)
{
    memcpy(x, a.lane, sizeof a.lane);
}

static inline vec v_add(vec a, vec b)
{
    EACH_LANE(a.lane[k] + b.lane[k]);
}

static inline vec v_divide(vec a, float by)
{
    EACH_LANE(a.lane[k] / by);
}

static inline vec v_subtract(vec a, vec b)
{
    EACH_LANE(a.lane[k] - b.lane[k]);
}

static inline vec v_minimum(vec a, vec b)
{
    EACH_LANE(a.lane[k] < b.lane[k] ? a.lane[k] : b.lane[k]);
}

static inline vec v_maximum(vec a, vec b)
{
    EACH_LANE(a.lane[k] > b.lane[k] ? a.lane[k] : b.lane[k]);
}

static inline vec v_fma(vec a, vec b, vec c)
{
    EACH_LANE(fmaf(a.lane[k], b.lane[k], c.lane[k]));
}

static inline vec v_spread(float a)
{
    EACH_LANE(a);
}

#define V_HALVES(a, low, high)                                                                     \
    do {                                                                                           \
        memcpy(&(low), (a), sizeof(low));                                                          \
        memcpy(&(high), (a) + 2, sizeof(high));                                                    \
    } while (0)
#define V_LOAD v_load
#define V_STORE v_store
#define V_ADD v_add
#define V_DIVIDE v_divide
#define V_SUBTRACT v_subtract
#define V_MINIMUM v_minimum
#define V_MAXIMUM v_maximum
#define V_FMA v_fma
#define V_SPREAD v_spread
#define V_ZERO v_spread(0.0f)

typedef double keys;

enum { K_LANES = 1 };

#define K_LOAD(x) (*(x))
#define K_STORE(x, a) (*(x) = (a))
#define K_MINIMUM(a, b) ((a) < (b) ? (a) : (b))
#define K_MAXIMUM(a, b) ((a) > (b) ? (a) : (b))
/* No unrolled sorts of groups: the table does it all. */
#define V_GROUP_SORT(m) ((void)(m), (kernel_group *)NULL)
#define K_GROUP_SORT(m) ((void)(m), (kernel_keyed_group *)NULL)

#include "coordinator/aggregate/kernels_body.inc"

static void gather(const double *table, const wide_mask *index, wide *taken)
{
    for (int k = 0; k < 8; k++)
        (*taken)[k] = table[(*index)[k]];
}

#include "coordinator/aggregate/kernels_keyed.inc"

static kernel_trimmed *trimmed(size_t n, size_t f)
{
    (void)n;
    (void)f;
    return NULL;
}

const struct kernels kernels_portable = {
    "portable", centre,          products,         products_wide, mix,    combine, sort,
    sort_keyed, weighted_middle, weighted_trimmed, average,       around, trimmed,
};
