/* SPDX-License-Identifier: Apache-2.0 */
/* Stockham autosort FFT, radices 4, 2, 3, 5; a real sequence of length n is transformed as a
 * complex one of length n/2 (even samples real, odd samples imaginary) and separated after.
 * Source: Van Loan, Computational Frameworks for the Fast Fourier Transform, sections 1.7 and 4.3.
 */
#include "privacy/fft.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct cplx {
    double re, im;
};

static inline struct cplx add(struct cplx a, struct cplx b)
{
    return (struct cplx){a.re + b.re, a.im + b.im};
}

static inline struct cplx sub(struct cplx a, struct cplx b)
{
    return (struct cplx){a.re - b.re, a.im - b.im};
}

static inline struct cplx mul(struct cplx a, struct cplx b)
{
    return (struct cplx){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static inline struct cplx scale(double s, struct cplx a)
{
    return (struct cplx){s * a.re, s * a.im};
}

/* -i a */
static inline struct cplx turn(struct cplx a)
{
    return (struct cplx){a.im, -a.re};
}

/* One pass of radix r: x[r][m][s] -> y[m][r][s], r m s = total length. w holds all roots. */
struct pass {
    size_t m, s;
    const struct cplx *restrict w;
    const struct cplx *restrict x;
    struct cplx *restrict y;
};

/* Compiled twice and chosen at run time; without fused operations both give the same bits. */
#define FOR_WIDE_VECTORS __attribute__((target_clones("avx2", "default")))

FOR_WIDE_VECTORS static void pass2(const struct pass *f)
{
    size_t m = f->m, s = f->s;
    for (size_t p = 0; p < m; p++) {
        struct cplx w1 = f->w[p * s];
        const struct cplx *x = f->x + s * p;
        struct cplx *y = f->y + 2 * s * p;
        for (size_t q = 0; q < s; q++) {
            struct cplx a = x[q], b = x[q + s * m];
            y[q] = add(a, b);
            y[q + s] = mul(sub(a, b), w1);
        }
    }
}

FOR_WIDE_VECTORS static void pass3(const struct pass *f)
{
    const double half_root3 = 0.86602540378443864676;
    size_t m = f->m, s = f->s;
    for (size_t p = 0; p < m; p++) {
        struct cplx w1 = f->w[p * s], w2 = f->w[2 * p * s];
        const struct cplx *x = f->x + s * p;
        struct cplx *y = f->y + 3 * s * p;
        for (size_t q = 0; q < s; q++) {
            struct cplx a = x[q], b = x[q + s * m], c = x[q + 2 * s * m];
            struct cplx t = add(b, c);
            struct cplx u = sub(a, scale(0.5, t));
            struct cplx v = turn(scale(half_root3, sub(b, c)));
            y[q] = add(a, t);
            y[q + s] = mul(add(u, v), w1);
            y[q + 2 * s] = mul(sub(u, v), w2);
        }
    }
}

FOR_WIDE_VECTORS static void pass4(const struct pass *f)
{
    size_t m = f->m, s = f->s;
    for (size_t p = 0; p < m; p++) {
        struct cplx w1 = f->w[p * s], w2 = f->w[2 * p * s], w3 = f->w[3 * p * s];
        const struct cplx *x = f->x + s * p;
        struct cplx *y = f->y + 4 * s * p;
        for (size_t q = 0; q < s; q++) {
            struct cplx a = x[q], b = x[q + s * m], c = x[q + 2 * s * m], d = x[q + 3 * s * m];
            struct cplx ac = add(a, c), bd = add(b, d);
            struct cplx u = sub(a, c), v = turn(sub(b, d));
            y[q] = add(ac, bd);
            y[q + s] = mul(add(u, v), w1);
            y[q + 2 * s] = mul(sub(ac, bd), w2);
            y[q + 3 * s] = mul(sub(u, v), w3);
        }
    }
}

FOR_WIDE_VECTORS static void pass5(const struct pass *f)
{
    const double c1 = 0.30901699437494742410, c2 = -0.80901699437494742410;
    const double s1 = 0.95105651629515357212, s2 = 0.58778525229247312917;
    size_t m = f->m, s = f->s;
    for (size_t p = 0; p < m; p++) {
        const struct cplx *w = f->w;
        struct cplx w1 = w[p * s], w2 = w[2 * p * s], w3 = w[3 * p * s], w4 = w[4 * p * s];
        const struct cplx *x = f->x + s * p;
        struct cplx *y = f->y + 5 * s * p;
        for (size_t q = 0; q < s; q++) {
            struct cplx a = x[q];
            struct cplx t1 = add(x[q + s * m], x[q + 4 * s * m]);
            struct cplx t2 = add(x[q + 2 * s * m], x[q + 3 * s * m]);
            struct cplx d1 = sub(x[q + s * m], x[q + 4 * s * m]);
            struct cplx d2 = sub(x[q + 2 * s * m], x[q + 3 * s * m]);
            struct cplx u1 = add(a, add(scale(c1, t1), scale(c2, t2)));
            struct cplx u2 = add(a, add(scale(c2, t1), scale(c1, t2)));
            struct cplx v1 = turn(add(scale(s1, d1), scale(s2, d2)));
            struct cplx v2 = turn(sub(scale(s2, d1), scale(s1, d2)));
            y[q] = add(a, add(t1, t2));
            y[q + s] = mul(add(u1, v1), w1);
            y[q + 2 * s] = mul(add(u2, v2), w2);
            y[q + 3 * s] = mul(sub(u2, v2), w3);
            y[q + 4 * s] = mul(sub(u1, v1), w4);
        }
    }
}

/* Complex transform of length m in place, using the plan's scratch. */
static void complex_forward(const struct fft_plan *plan, struct cplx *x)
{
    size_t total = plan->n / 2;
    struct cplx *from = x, *to = (struct cplx *)plan->scratch;
    size_t n = total, s = 1;
    while (n > 1) {
        size_t r = n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : n % 3 == 0 ? 3 : 5;
        const struct pass f = {n / r, s, (const struct cplx *)plan->roots, from, to};
        switch (r) {
        case 4:
            pass4(&f);
            break;
        case 2:
            pass2(&f);
            break;
        case 3:
            pass3(&f);
            break;
        default:
            pass5(&f);
            break;
        }
        n /= r;
        s *= r;
        struct cplx *other = from;
        from = to;
        to = other;
    }
    if (from != x)
        memcpy(x, from, total * sizeof *x);
}

size_t fft_good_length(size_t n)
{
    size_t half = n <= 4 ? 2 : n / 2 + n % 2;
    size_t best = SIZE_MAX / 4;
    for (size_t five = 1; five < 5 * half && five < best; five *= 5) {
        for (size_t three = five; three < 3 * half && three < best; three *= 3) {
            size_t two = three;
            while (two < half)
                two *= 2;
            if (two < best)
                best = two;
        }
    }
    return 2 * best;
}

static struct cplx root(size_t k, size_t n)
{
    double angle = -2.0 * M_PI * ((double)k / (double)n);
    return (struct cplx){cos(angle), sin(angle)};
}

/* exp(-2 pi i k / n) for k < count, each the product of a far and a near root: two roundings. */
static void fill_roots(double *out, size_t count, size_t n)
{
    enum { NEAR = 256 };
    struct cplx near[NEAR], *w = (struct cplx *)out;
    for (size_t k = 0; k < NEAR; k++)
        near[k] = root(k, n);
    for (size_t at = 0; at < count; at += NEAR) {
        struct cplx far = root(at, n);
        for (size_t k = 0; k < NEAR && at + k < count; k++)
            w[at + k] = mul(far, near[k]);
    }
}

int fft_plan_init(struct fft_plan *plan, size_t n)
{
    *plan = (struct fft_plan){.n = n};
    if (n < 4 || n % 2 != 0 || n > SIZE_MAX / 64 || fft_good_length(n) != n)
        return -1;
    size_t half = n / 2;
    plan->roots = malloc(half * sizeof(struct cplx));
    plan->halves = malloc((half / 2 + 1) * sizeof(struct cplx));
    plan->scratch = malloc(half * sizeof(struct cplx));
    if (!plan->roots || !plan->halves || !plan->scratch) {
        fft_plan_free(plan);
        return -1;
    }
    fill_roots(plan->roots, half / 2 + 1, half);
    for (size_t k = half / 2 + 1; k < half; k++) { /* the other half is the mirror image */
        plan->roots[2 * k] = plan->roots[2 * (half - k)];
        plan->roots[2 * k + 1] = -plan->roots[2 * (half - k) + 1];
    }
    fill_roots(plan->halves, half / 2 + 1, n);
    return 0;
}

void fft_plan_free(struct fft_plan *plan)
{
    free(plan->roots);
    free(plan->halves);
    free(plan->scratch);
    *plan = (struct fft_plan){0};
}

static inline struct cplx conjugate(struct cplx a)
{
    return (struct cplx){a.re, -a.im};
}

void fft_forward(const struct fft_plan *plan, double *x)
{
    struct cplx *z = (struct cplx *)x;
    const struct cplx *w = (const struct cplx *)plan->halves;
    size_t half = plan->n / 2;
    complex_forward(plan, z);
    struct cplx first = z[0];
    z[0] = (struct cplx){first.re + first.im, 0};
    z[half] = (struct cplx){first.re - first.im, 0};
    for (size_t k = 1; k <= half / 2; k++) {
        struct cplx a = z[k], b = conjugate(z[half - k]);
        struct cplx even = scale(0.5, add(a, b));
        struct cplx odd = mul(w[k], turn(scale(0.5, sub(a, b))));
        z[k] = add(even, odd);
        z[half - k] = conjugate(sub(even, odd));
    }
}

void fft_inverse(const struct fft_plan *plan, double *x)
{
    struct cplx *z = (struct cplx *)x;
    const struct cplx *w = (const struct cplx *)plan->halves;
    size_t half = plan->n / 2;
    double dc = z[0].re, nyquist = z[half].re;
    /* The conjugate of the packed spectrum: its forward transform is the conjugate of the inverse.
     */
    z[0] = (struct cplx){0.5 * (dc + nyquist), -0.5 * (dc - nyquist)};
    for (size_t k = 1; k <= half / 2; k++) {
        struct cplx a = z[k], b = conjugate(z[half - k]);
        struct cplx even = scale(0.5, add(a, b));
        struct cplx odd = mul(conjugate(w[k]), scale(0.5, sub(a, b)));
        struct cplx i_odd = {-odd.im, odd.re};
        z[k] = conjugate(add(even, i_odd));
        z[half - k] = sub(even, i_odd);
    }
    complex_forward(plan, z);
    double s = 1.0 / (double)half;
    for (size_t k = 0; k < half; k++)
        z[k] = (struct cplx){s * z[k].re, -s * z[k].im};
}
