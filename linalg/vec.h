/* SPDX-License-Identifier: Apache-2.0 */
/* Vector primitives in double: the plain twins that faster kernels are tested against. */
#ifndef CONSILIUM_LINALG_VEC_H
#define CONSILIUM_LINALG_VEC_H

#include <stddef.h>

/* Sum of x[i]*y[i] over n elements, accumulated in index order. */
double vec_dot(size_t n, const double *x, const double *y);

/* Euclidean norm of x, n elements; may overflow to +inf for huge entries. */
double vec_norm(size_t n, const double *x);

#endif
