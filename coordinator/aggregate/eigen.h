/* SPDX-License-Identifier: Apache-2.0 */
/* Largest eigenvalue of a small symmetric matrix, with its vector; deterministic. */
#ifndef CONSILIUM_AGGREGATE_EIGEN_H
#define CONSILIUM_AGGREGATE_EIGEN_H

#include <stdbool.h>
#include <stddef.h>

/* Largest eigenvalue of the symmetric a [n][n] (overwritten) into value, and, unless vector is
 * NULL, a unit vector of it into vector[n]. Householder tridiagonalisation, bisection on the
 * Sturm count, inverse iteration (Golub and Van Loan, Matrix Computations, 8.3 and 8.4).
 * False when memory is short. */
bool eigen_top(size_t n, double *a, double *value, double *vector);

#endif
