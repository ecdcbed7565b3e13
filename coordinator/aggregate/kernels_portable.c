/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops in plain C, four floats at a time: for processors without AVX2. */
#include "coordinator/aggregate/kernels_all.h"
#include "coordinator/aggregate/weights.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float vec __attribute__((vector_size(16)));
typedef int32_t vec_mask __attribute__((vector_size(16)));

#define PAIR_ROWS 4
enum { V_LANES = 4, MIX_VECTORS = 4 };

static inline vec v_load(const float *x)
{
    vec a;
    memcpy(&a, x, sizeof a);
    return a;
}

static inline void v_store(float *x, vec a)
{
    memcpy(x, &a, sizeof a);
}

/* a where mask is all ones, else b. */
static inline vec v_select(vec_mask mask, vec a, vec b)
{
    return (vec)(((vec_mask)a & mask) | ((vec_mask)b & ~mask));
}

static inline vec v_fma(vec a, vec b, vec c)
{
    return (vec){fmaf(a[0], b[0], c[0]), fmaf(a[1], b[1], c[1]), fmaf(a[2], b[2], c[2]),
                 fmaf(a[3], b[3], c[3])};
}

static inline vec v_spread(float a)
{
    return (vec){a, a, a, a};
}

#define V_HALVES(a, low, high)                                                                     \
    do {                                                                                           \
        memcpy(&(low), (a), sizeof(low));                                                          \
        memcpy(&(high), (a) + 2, sizeof(high));                                                    \
    } while (0)
#define V_LOAD v_load
#define V_STORE v_store
#define V_ADD(a, b) ((a) + (b))
#define V_DIVIDE(a, by) ((a) / (by))
#define V_SUBTRACT(a, b) ((a) - (b))
#define V_MINIMUM(a, b) v_select((a) < (b), a, b)
#define V_MAXIMUM(a, b) v_select((a) > (b), a, b)
#define V_FMA v_fma
#define V_SPREAD v_spread
#define V_ZERO v_spread(0.0f)

typedef double keys __attribute__((vector_size(16)));
typedef int64_t keys_mask __attribute__((vector_size(16)));

enum { K_LANES = 2 };

static inline keys k_load(const double *x)
{
    keys a;
    memcpy(&a, x, sizeof a);
    return a;
}

static inline void k_store(double *x, keys a)
{
    memcpy(x, &a, sizeof a);
}

static inline keys k_select(keys_mask mask, keys a, keys b)
{
    return (keys)(((keys_mask)a & mask) | ((keys_mask)b & ~mask));
}

#define K_LOAD k_load
#define K_STORE k_store
#define K_MINIMUM(a, b) k_select((a) < (b), a, b)
#define K_MAXIMUM(a, b) k_select((a) > (b), a, b)
#define K_TAKE(table, at) ((keys){table[at[0]], table[at[1]]})

/* No unrolled sorts of groups: the table does it all. */
#define V_GROUP_SORT(m) ((void)(m), (kernel_group *)NULL)
#define K_GROUP_SORT(m) ((void)(m), (kernel_keyed_group *)NULL)

#include "coordinator/aggregate/kernels_body.inc"

#include "coordinator/aggregate/kernels_keyed.inc"

static kernel_trimmed *trimmed(size_t n, size_t f)
{
    (void)n;
    (void)f;
    return NULL;
}

const struct kernels kernels_portable = {
    "portable", centre,     products,        products_wide,    mix,     combine, sort_groups,
    sort_rest,  sort_keyed, weighted_middle, weighted_trimmed, average, around,  trimmed,
};
