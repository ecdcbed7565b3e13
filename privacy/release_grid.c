/* SPDX-License-Identifier: Apache-2.0 */
/* Adding or removing a patient changes one slot. In double precision a slot of m rows errs by at
 * most gamma_m m kappa C, gamma_m = m 2^-53 (Higham 2002, section 3.1), before and after, and each
 * coordinate's rounding by half a step, before and after:
 *   eta = 2 gamma_m m kappa + sqrt(d) step / C,  kappa = 4. */
#include "privacy/release_grid.h"

#include "privacy/noise.h"

#include <math.h>
#include <string.h>

static const double KAPPA = 4;
static const double LARGEST = 0x1p61; /* of a rounded slot, in steps */

int release_grid_init(struct release_grid *grid, double clip, double noise, uint64_t d,
                      uint64_t slot_rows)
{
    *grid = (struct release_grid){.clip = clip, .noise = noise};
    if (!(clip >= 1e-12 && clip <= 1e12) || !(noise >= 1e-3 && noise <= 1e9))
        return -1;
    if (d == 0 || d > UINT64_C(1) << 40 || slot_rows == 0 || slot_rows > UINT64_C(1) << 24)
        return -1;
    double m = (double)slot_rows;
    grid->step = ldexp(noise * clip, -NOISE_BITS);
    grid->slack = 2 * (m * 0x1p-53) * m * KAPPA + sqrt((double)d) * ldexp(noise, -NOISE_BITS);
    grid->effective_noise = noise / (1 + grid->slack) * (1 - 1e-15);
    return 0;
}

/* For |x| below 2^51 the double x + 1.5 2^52 holds x rounded to an integer, ties to even, in its
 * low bits, and has the exponent of 2^52; no other x, and no NaN, has it. */
static const double ROUNDER = 0x1.8p52;

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The plain loop, for slots beyond 2^51 steps. */
static int add_large(const double *sum, int64_t *total, size_t n, double per_step)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs(sum[i] * per_step) < LARGEST))
            return -1;
    for (size_t i = 0; i < n; i++)
        total[i] += (int64_t)rint(sum[i] * per_step);
    return 0;
}

int release_add(const struct release_grid *grid, const double *sum, int64_t *total, size_t n)
{
    double per_step = 1 / grid->step;
    uint64_t rounder = bits_of(ROUNDER), exponents = 0, overflow = 0;
    for (size_t i = 0; i < n; i++) {
        exponents |= bits_of(sum[i] * per_step + ROUNDER) ^ rounder;
        overflow |= (uint64_t)total[i] + (UINT64_C(1) << 62); /* top bit: outside +-2^62 */
    }
    if (overflow >> 63)
        return -1;
    if (exponents >> 52)
        return add_large(sum, total, n, per_step);
    for (size_t i = 0; i < n; i++)
        total[i] += (int64_t)(bits_of(sum[i] * per_step + ROUNDER) - rounder);
    return 0;
}

void release_noise(int64_t *total, const int64_t *noise, size_t n)
{
    for (size_t i = 0; i < n; i++)
        total[i] = (int64_t)((uint64_t)total[i] + (uint64_t)noise[i]);
}

void release_values(const struct release_grid *grid, const int64_t *total, double lot, double *out,
                    size_t n)
{
    double scale = grid->step / lot;
    for (size_t i = 0; i < n; i++)
        out[i] = scale * (double)total[i];
}
