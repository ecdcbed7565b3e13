/* SPDX-License-Identifier: Apache-2.0 */
/* Whether numbers are finite, by their exponent bits, whatever the compiler assumes of them. */
#ifndef CONSILIUM_AGGREGATE_FINITE_H
#define CONSILIUM_AGGREGATE_FINITE_H

#include <stddef.h>

/* Index of the first NaN or infinity of x[d], or d when there is none. */
size_t finite_first_bad_f32(size_t d, const float *x);
size_t finite_first_bad_f64(size_t d, const double *x);

#endif
