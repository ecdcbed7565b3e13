/* SPDX-License-Identifier: Apache-2.0 */
/* The loops for any processor: several running sums, so that the compiler may keep them in vector
 * registers. */
#include "privacy/clip_kernel.h"

static double dot(size_t n, const double *x, const double *y)
{
    double s[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            s[k] += x[i + k] * y[i + k];
    for (; i < n; i++)
        s[0] += x[i] * y[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static void squares(size_t rows, size_t n, const double *x, double *out)
{
    for (size_t r = 0; r < rows; r++)
        out[r] = dot(n, x + r * n, x + r * n);
}

static void four(size_t n, const double *const x[4], double out[6])
{
    size_t at = 0;
    for (size_t r = 0; r < 4; r++)
        for (size_t s = r + 1; s < 4; s++)
            out[at++] = dot(n, x[r], x[s]);
}

static void cross(size_t n, const double *const x[2], const double *const y[2], double out[4])
{
    for (size_t r = 0; r < 2; r++)
        for (size_t s = 0; s < 2; s++)
            out[2 * r + s] = dot(n, x[r], y[s]);
}

const struct clip_kernel clip_kernel_portable = {squares, four, cross};
