/* SPDX-License-Identifier: Apache-2.0 */
/* Dense matrix products by OpenBLAS; a product with one column goes to the matrix-vector kernel. */
#include "linalg/blas.h"

#include <cblas.h>
#include <string.h>

void blas_use_one_thread(void)
{
    openblas_set_num_threads(1);
}

/* Empty operands never reach the library, whose argument checks write to standard error. */
static int empty(size_t m, size_t n, size_t k, double beta, double *c)
{
    if (m == 0 || n == 0)
        return 1;
    if (k > 0)
        return 0;
    if (beta == 0.0)
        memset(c, 0, m * n * sizeof *c);
    return 1;
}

void blas_multiply(size_t m, size_t n, size_t k, const double *a, const double *b, double beta,
                   double *c)
{
    if (empty(m, n, k, beta, c))
        return;
    if (n == 1)
        cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)m, (int)k, 1.0, a, (int)k, b, 1, beta, c, 1);
    else
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1.0, a,
                    (int)k, b, (int)n, beta, c, (int)n);
}

void blas_multiply_at(size_t m, size_t n, size_t k, const double *a, const double *b, double beta,
                      double *c)
{
    if (empty(m, n, k, beta, c))
        return;
    if (n == 1)
        cblas_dgemv(CblasRowMajor, CblasTrans, (int)k, (int)m, 1.0, a, (int)m, b, 1, beta, c, 1);
    else
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1.0, a, (int)m,
                    b, (int)n, beta, c, (int)n);
}

void blas_multiply_bt(size_t m, size_t n, size_t k, const double *a, const double *b, double beta,
                      double *c)
{
    if (empty(m, n, k, beta, c))
        return;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, 1.0, a, (int)k, b,
                (int)k, beta, c, (int)n);
}

double blas_dot(size_t n, const double *x, const double *y)
{
    return n ? cblas_ddot((int)n, x, 1, y, 1) : 0.0;
}

void blas_add(size_t n, double alpha, const double *x, double *y)
{
    if (n)
        cblas_daxpy((int)n, alpha, x, 1, y, 1);
}
