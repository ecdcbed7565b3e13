/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of inner loops, one file each; which of them run here is kernels_choose*.c's to say.
 */
#ifndef CONSILIUM_AGGREGATE_KERNELS_ALL_H
#define CONSILIUM_AGGREGATE_KERNELS_ALL_H

#include "coordinator/aggregate/kernels.h"

extern const struct kernels kernels_portable;
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;

/* Their unrolled networks, compiled apart: see struct kernels. */
kernel_trimmed *trimmed_avx2(size_t n, size_t f);
kernel_trimmed *trimmed_avx512(size_t n, size_t f);
/* Unrolled sorts of m <= NETWORK_GROUP rows. */
kernel_group *sorted_avx2(size_t m);
kernel_group *sorted_avx512(size_t m);
kernel_keyed_group *keyed_avx2(size_t m);
kernel_keyed_group *keyed_avx512(size_t m);

#endif
