/* SPDX-License-Identifier: Apache-2.0 */
/* Renyi curves of the events. */
#include "privacy/rdp.h"

#include <math.h>
#include <stdbool.h>

int rdp_order(int i)
{
    return i < 254 ? i + 2 : 256 << (i - 254);
}

static double log_add(double a, double b)
{
    double top = fmax(a, b), low = fmin(a, b);
    return top + log1p(exp(low - top));
}

/* ln A - (what cancels when q -> 0), A = sum_k C(a,k) (1-q)^{a-k} q^k e^{(k^2-k)/(2 s^2)}. The
 * terms k = 0, 1 have exponent 0 and the binomial weights sum to 1, so
 * A = 1 + sum_{k>=2} C(a,k) (1-q)^{a-k} q^k (e^{(k^2-k)/(2 s^2)} - 1). */
static double log_moment(double q, double s, int a)
{
    double log_choose = log(a), sum = -INFINITY, rest = log1p(-q), log_q = log(q);
    for (int k = 2; k <= a; k++) {
        log_choose += log((double)(a - k + 1) / k);
        double x = ((double)k * k - k) / (2 * s * s);
        double grown = x > 30 ? x + log1p(-exp(-x)) : log(expm1(x));
        double tail = k == a ? 0 : (a - k) * rest;
        sum = log_add(sum, log_choose + tail + k * log_q + grown);
    }
    return sum > 30 ? log_add(0, sum) : log1p(exp(sum));
}

static double gaussian(const struct privacy_event *e, bool replace, int a)
{
    if (e->q >= 1)
        return (replace ? 4 : 1) * a / (2 * e->noise * e->noise);
    return replace ? (double)NAN : log_moment(e->q, e->noise, a) / (a - 1);
}

/* Mironov 2017, table II. */
static double laplace(double b, int a)
{
    double up = log((double)a / (2 * a - 1)) + (a - 1) / b;
    double down = log((double)(a - 1) / (2 * a - 1)) - a / b;
    return log_add(up, down) / (a - 1);
}

/* Two atoms at +-epsilon: randomised response, the worst case of pure epsilon. */
static double generic(double epsilon, int a)
{
    double log_p = -log1p(exp(-epsilon)), log_r = -log1p(exp(epsilon));
    double up = a * log_p + (1 - a) * log_r, down = a * log_r + (1 - a) * log_p;
    return fmax(0, log_add(up, down)) / (a - 1);
}

double rdp_event(const struct privacy_event *e, enum privacy_adjacency adjacency, int a)
{
    bool replace = adjacency == ADJACENCY_REPLACE;
    double rho = NAN;
    switch (e->kind) {
    case EVENT_GAUSSIAN:
        rho = gaussian(e, replace, a);
        break;
    case EVENT_LAPLACE:
        rho = laplace(replace ? e->noise / 2 : e->noise, a);
        break;
    case EVENT_EPSILON_DELTA:
        rho = e->delta > 0 ? (double)NAN : generic(e->epsilon, a);
        break;
    case EVENT_TRUNCATED:
        break;
    }
    /* Rounded up by more than the sums can lose. */
    return (double)e->steps * rho * (1 + 1e-12);
}

double rdp_list(const struct event_list *list, enum privacy_adjacency adjacency, int order)
{
    double sum = 0;
    for (size_t i = 0; i < list->count; i++)
        sum += rdp_event(&list->events[i], adjacency, order);
    return sum;
}

double rdp_to_epsilon(double rho, int a, double delta)
{
    return fmax(0, rho + log1p(-1.0 / a) - (log(delta) + log(a)) / (a - 1));
}

double rdp_to_log_delta(double rho, int a, double epsilon)
{
    return (a - 1) * (rho + log1p(-1.0 / a) - epsilon) - log(a);
}

double rdp_epsilon(const struct event_list *list, enum privacy_adjacency adjacency, double delta,
                   int *ret_order)
{
    double best = NAN;
    for (int i = 0; i < RDP_ORDERS; i++) {
        double rho = rdp_list(list, adjacency, rdp_order(i));
        if (isnan(rho))
            return NAN;
        double epsilon = rdp_to_epsilon(rho, rdp_order(i), delta);
        if (isnan(best) || epsilon < best) {
            best = epsilon;
            if (ret_order)
                *ret_order = rdp_order(i);
        }
    }
    return best;
}

double rdp_delta(const struct event_list *list, enum privacy_adjacency adjacency, double epsilon)
{
    double best = 0;
    for (int i = 0; i < RDP_ORDERS; i++) {
        double rho = rdp_list(list, adjacency, rdp_order(i));
        if (isnan(rho))
            return NAN;
        best = fmin(best, rdp_to_log_delta(rho, rdp_order(i), epsilon));
    }
    return exp(best);
}
