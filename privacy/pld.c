/* SPDX-License-Identifier: Apache-2.0 */
/* Connect-the-dots in mass form: a bin with masses p (under P) and r (under Q) between losses e_j
 * and e_j + h puts b = (p - e^{e_j} r) / (1 - e^{-h}) on the upper end and p - b on the lower,
 * which keeps sum mass = p and sum mass e^{-loss} = r. The error is relative to the bin, about
 * 2^-52 / h. */
#include "privacy/pld.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

void pld_free(struct pld *pld)
{
    free(pld->mass);
    *pld = (struct pld){0};
}

void pld_bins_free(struct pld_bins *bins)
{
    free(bins->p);
    free(bins->q);
    *bins = (struct pld_bins){0};
}

static double loss_of(const struct pld *pld, size_t i)
{
    return (double)(pld->low + (long)i) * pld->grid;
}

static void summarise(struct pld *pld)
{
    pld->groups = (pld->count + pld->each - 1) / pld->each;
    for (size_t g = 0; g < pld->groups; g++) {
        size_t from = g * pld->each, to = from + pld->each;
        double mass = 0, loss = 0, square = 0;
        to = to < pld->count ? to : pld->count;
        for (size_t i = from; i < to; i++) {
            mass += pld->mass[i];
            loss += pld->mass[i] * loss_of(pld, i);
        }
        pld->group_mass[g] = mass;
        pld->group_loss[g] = loss / fmax(mass, 1e-300);
        for (size_t i = from; i < to; i++) {
            double away = loss_of(pld, i) - pld->group_loss[g];
            square += pld->mass[i] * away * away;
        }
        pld->group_spread[g] = sqrt(square / fmax(mass, 1e-300));
    }
}

enum pld_result pld_connect(struct pld *pld, const struct pld_bins *bins,
                            enum pld_direction direction, size_t coarse)
{
    size_t n = bins->count, group = 0, next = 0;
    double h = bins->grid, shrink = -expm1(-h);
    bool add = direction == PLD_ADD;
    /* "Add" swaps P and Q, which negates the loss: bin i becomes bin n - 1 - i. */
    *pld = (struct pld){.grid = h, .low = add ? -(bins->low + (long)n) : bins->low, .count = n + 1};
    pld->mass = calloc(n + 1, sizeof *pld->mass);
    if (!pld->mass)
        return PLD_NO_MEMORY;
    pld->each = (pld->count + coarse - 1) / coarse;
    next = pld->each;
    for (size_t i = 0; i < n; i++) {
        if (i == next) {
            group++;
            next += pld->each;
        }
        size_t from = add ? n - 1 - i : i;
        double p = add ? bins->q[from] : bins->p[from];
        double r = add ? bins->p[from] : bins->q[from];
        if (!(p > 0))
            continue;
        double b = (p - exp((double)(pld->low + (long)i) * h) * r) / shrink;
        b = fmin(fmax(b, 0), p);
        pld->group_split[group] += b * (1 - b / p);
        pld->mass[i + 1] += b;
        pld->mass[i] += p - b;
    }
    double below = add ? bins->above_q : bins->below_p;
    double above = add ? bins->below_q : bins->above_p;
    pld->mass[0] += below;
    pld->infinite = above + bins->infinite;
    pld->moved = below + above;
    summarise(pld);
    return PLD_OK;
}
