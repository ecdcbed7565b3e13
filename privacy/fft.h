/* SPDX-License-Identifier: Apache-2.0 */
/* Fourier transform of real sequences in double precision, for lengths 2^a 3^b 5^c. */
#ifndef CONSILIUM_PRIVACY_FFT_H
#define CONSILIUM_PRIVACY_FFT_H

#include <stddef.h>

/* Roots of unity and scratch for one length; made once, used for any number of transforms. Not for
 * two threads at once: the scratch is shared. */
struct fft_plan {
    size_t n;        /* real length, even */
    double *roots;   /* [n/2][2]: exp(-2 pi i k / (n/2)) */
    double *halves;  /* [n/4 + 1][2]: exp(-2 pi i k / n) */
    double *scratch; /* [n/2][2] */
};

/* Smallest length >= n that is 2 * 2^a 3^b 5^c. */
size_t fft_good_length(size_t n);

/* Prepares length n, which fft_good_length returned. 0, or -1 when there is no memory or n does not
 * fit; the plan is then empty and may be freed. */
int fft_plan_init(struct fft_plan *plan, size_t n);

void fft_plan_free(struct fft_plan *plan);

/* In place: x[n + 2] holds n reals, becomes n/2 + 1 complex numbers (real, imaginary):
 * X_k = sum_j x_j exp(-2 pi i j k / n). */
void fft_forward(const struct fft_plan *plan, double *x);

/* Inverse of fft_forward, scaled by 1/n: n/2 + 1 complex numbers become n reals. */
void fft_inverse(const struct fft_plan *plan, double *x);

#endif
