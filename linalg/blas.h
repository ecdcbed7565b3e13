/* SPDX-License-Identifier: Apache-2.0 */
/* Dense matrix products in double, row-major; the only door to OpenBLAS. */
#ifndef CONSILIUM_LINALG_BLAS_H
#define CONSILIUM_LINALG_BLAS_H

#include <stddef.h>

/* Largest extent of any operand; callers check against it before they allocate. */
#define BLAS_MAX_EXTENT ((size_t)1 << 30)

/* Holds OpenBLAS to the calling thread. Call once before the first product; the same inputs then
 * give the same bits on the same kind of processor. */
void blas_use_one_thread(void);

/* C[m][n] = A[m][k] B[k][n] + beta C. All extents in [0, BLAS_MAX_EXTENT]. beta 0 overwrites C. */
void blas_multiply(size_t m, size_t n, size_t k, const double *a, const double *b, double beta,
                   double *c);

/* C[m][n] = A[k][m]' B[k][n] + beta C. */
void blas_multiply_at(size_t m, size_t n, size_t k, const double *a, const double *b, double beta,
                      double *c);

/* C[m][n] = A[m][k] B[n][k]' + beta C. */
void blas_multiply_bt(size_t m, size_t n, size_t k, const double *a, const double *b, double beta,
                      double *c);

/* Sum of x[i] y[i]; the order of summation is the library's. */
double blas_dot(size_t n, const double *x, const double *y);

/* y += alpha x. */
void blas_add(size_t n, double alpha, const double *x, double *y);

#endif
