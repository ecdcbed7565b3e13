/* SPDX-License-Identifier: Apache-2.0 */
/* Top eigenpair: A = Q T Q', T tridiagonal; lambda by bisection on the number of negative pivots of
 * T - x I; its vector by inverse iteration on T, then times Q.
 * Golub and Van Loan, Matrix Computations, sections 8.3.1, 8.4.1, 7.6.1. */
#include "coordinator/aggregate/eigen.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* Reduces a to tridiagonal form: diagonal[n], off[n-1] (off[k] couples k and k+1). Column k of a
 * below the subdiagonal keeps the unit Householder vector, whose length-one entry is at k+1. */
static void tridiagonalise(size_t n, double *a, double *diagonal, double *off, double *p)
{
    for (size_t k = 0; k + 2 < n; k++) {
        double square = 0.0;
        for (size_t i = k + 1; i < n; i++)
            square += a[i * n + k] * a[i * n + k];
        double norm = sqrt(square);
        double first = a[(k + 1) * n + k];
        diagonal[k] = a[k * n + k];
        off[k] = first > 0.0 ? -norm : norm;
        a[(k + 1) * n + k] = first - off[k];
        double length = 0.0;
        for (size_t i = k + 1; i < n; i++)
            length += a[i * n + k] * a[i * n + k];
        length = sqrt(length);
        if (!(length > 0.0))
            continue;
        for (size_t i = k + 1; i < n; i++)
            a[i * n + k] /= length;
        double inner = 0.0;
        for (size_t i = k + 1; i < n; i++) {
            double sum = 0.0;
            for (size_t j = k + 1; j < n; j++)
                sum += a[i * n + j] * a[j * n + k];
            p[i] = 2.0 * sum;
            inner += p[i] * a[i * n + k];
        }
        for (size_t i = k + 1; i < n; i++)
            p[i] -= inner * a[i * n + k];
        for (size_t i = k + 1; i < n; i++)
            for (size_t j = k + 1; j < n; j++)
                a[i * n + j] -= a[i * n + k] * p[j] + p[i] * a[j * n + k];
    }
    if (n >= 2) {
        diagonal[n - 2] = a[(n - 2) * n + n - 2];
        off[n - 2] = a[(n - 1) * n + n - 2];
    }
    diagonal[n - 1] = a[n * n - 1];
}

/* Eigenvalues of the tridiagonal matrix below x. */
static size_t count_below(size_t n, const double *diagonal, const double *off, double x)
{
    size_t below = 0;
    double pivot = 1.0;
    for (size_t i = 0; i < n; i++) {
        double coupled = i ? off[i - 1] * off[i - 1] / pivot : 0.0;
        pivot = diagonal[i] - x - coupled;
        if (fabs(pivot) < DBL_MIN)
            pivot = -DBL_MIN;
        below += pivot < 0.0;
    }
    return below;
}

static double largest(size_t n, const double *diagonal, const double *off)
{
    double low = diagonal[0];
    double high = diagonal[0];
    for (size_t i = 0; i < n; i++) {
        double radius = (i ? fabs(off[i - 1]) : 0.0) + (i + 1 < n ? fabs(off[i]) : 0.0);
        low = fmax(low, diagonal[i]);
        high = fmax(high, diagonal[i] + radius);
    }
    for (;;) {
        double middle = low + (high - low) / 2.0;
        if (!(middle > low && middle < high))
            return high;
        if (count_below(n, diagonal, off, middle) == n)
            high = middle;
        else
            low = middle;
    }
}

/* Solves (T - shift I) x = x in place by elimination with partial pivoting; u holds 3n numbers. */
static void solve_shifted(size_t n, const double *diagonal, const double *off, double shift,
                          double tiny, double *u, double *x)
{
    double *u0 = u;
    double *u1 = u + n;
    double *u2 = u + 2 * n;
    double here = diagonal[0] - shift;
    double next = n > 1 ? off[0] : 0.0;
    for (size_t i = 0; i + 1 < n; i++) {
        double below = off[i];
        double below_next = diagonal[i + 1] - shift;
        double below_after = i + 2 < n ? off[i + 1] : 0.0;
        if (fabs(below) > fabs(here)) {
            double factor = here / below;
            u0[i] = below;
            u1[i] = below_next;
            u2[i] = below_after;
            here = next - factor * below_next;
            next = -factor * below_after;
            double swap = x[i];
            x[i] = x[i + 1];
            x[i + 1] = swap - factor * x[i + 1];
        } else {
            double pivot = fabs(here) < tiny ? tiny : here;
            double factor = below / pivot;
            u0[i] = pivot;
            u1[i] = next;
            u2[i] = 0.0;
            here = below_next - factor * next;
            next = below_after;
            x[i + 1] -= factor * x[i];
        }
    }
    u0[n - 1] = fabs(here) < tiny ? tiny : here;
    for (size_t i = n; i-- > 0;) {
        double sum = x[i];
        if (i + 1 < n)
            sum -= u1[i] * x[i + 1];
        if (i + 2 < n)
            sum -= u2[i] * x[i + 2];
        x[i] = sum / u0[i];
    }
}

static void normalise(size_t n, double *x)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    if (!(most > 0.0) || !isfinite(most)) {
        for (size_t i = 0; i < n; i++)
            x[i] = i == 0;
        return;
    }
    double square = 0.0;
    for (size_t i = 0; i < n; i++) {
        x[i] /= most;
        square += x[i] * x[i];
    }
    double norm = sqrt(square);
    for (size_t i = 0; i < n; i++)
        x[i] /= norm;
}

/* x <- Q x, with the Householder vectors that tridiagonalise left in a. */
static void transform_back(size_t n, const double *a, double *x)
{
    for (size_t k = n < 3 ? 0 : n - 2; k-- > 0;) {
        double inner = 0.0;
        for (size_t i = k + 1; i < n; i++)
            inner += a[i * n + k] * x[i];
        for (size_t i = k + 1; i < n; i++)
            x[i] -= 2.0 * inner * a[i * n + k];
    }
}

bool eigen_top(size_t n, double *a, double *value, double *vector)
{
    enum { INVERSE_STEPS = 4 };
    double scale = 0.0;
    for (size_t i = 0; i < n * n; i++)
        scale = fmax(scale, fabs(a[i]));
    *value = 0.0;
    if (vector)
        for (size_t i = 0; i < n; i++)
            vector[i] = i == 0;
    if (!(scale > 0.0) || !isfinite(scale))
        return true;
    double *work = malloc(6 * n * sizeof *work);
    if (!work)
        return false;
    for (size_t i = 0; i < n * n; i++)
        a[i] /= scale;
    double *diagonal = work;
    double *off = work + n;
    double *scratch = work + 2 * n;
    tridiagonalise(n, a, diagonal, off, scratch);
    double lambda = largest(n, diagonal, off);
    *value = lambda * scale;
    if (vector) {
        double tiny = DBL_EPSILON * fmax(fabs(lambda), DBL_EPSILON);
        for (size_t i = 0; i < n; i++)
            vector[i] = 1.0 + (double)(i * 2654435761u % 1024u) / 4096.0;
        for (int step = 0; step < INVERSE_STEPS; step++) {
            solve_shifted(n, diagonal, off, lambda, tiny, scratch, vector);
            normalise(n, vector);
        }
        transform_back(n, a, vector);
    }
    free(work);
    return true;
}
