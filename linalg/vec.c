/* SPDX-License-Identifier: Apache-2.0 */
/* Vector primitives in double, plain loops in index order. */
#include "linalg/vec.h"

#include <math.h>

double vec_dot(size_t n, const double *x, const double *y)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

double vec_norm(size_t n, const double *x)
{
    return sqrt(vec_dot(n, x, x));
}
