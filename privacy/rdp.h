/* SPDX-License-Identifier: Apache-2.0 */
/* Renyi differential privacy at integer orders: the cross-check of the accountant and the currency
 * of the budget. */
#ifndef CONSILIUM_PRIVACY_RDP_H
#define CONSILIUM_PRIVACY_RDP_H

#include "privacy/event.h"

/* Orders used: 2 .. 255, 256, 512, 1024. */
enum { RDP_ORDERS = 257 };

/* Order number i, 0 <= i < RDP_ORDERS. */
int rdp_order(int i);

/* Renyi divergence of the event's `steps` runs at an integer order >= 2, rounded up; NAN when the
 * event has no such curve here (generic with delta > 0, truncated, a sampled Gaussian under
 * "replace"). Poisson-subsampled Gaussian: Mironov, Talwar, Zhang 2019 (arXiv 1908.10530), integer
 * orders; both directions are covered by the one given. */
double rdp_event(const struct privacy_event *event, enum privacy_adjacency adjacency, int order);

/* Sum over a list; NAN as above. */
double rdp_list(const struct event_list *list, enum privacy_adjacency adjacency, int order);

/* epsilon at delta from divergence rho at an order (Canonne, Kamath, Steinke 2020, proposition 12):
 * rho + ln(1 - 1/a) - ln(delta a) / (a - 1), at least 0. */
double rdp_to_epsilon(double rho, int order, double delta);

/* ln delta at epsilon, the same inequality. */
double rdp_to_log_delta(double rho, int order, double epsilon);

/* Least epsilon over the orders; NAN when the list has no curve. *ret_order may be NULL. */
double rdp_epsilon(const struct event_list *list, enum privacy_adjacency adjacency, double delta,
                   int *ret_order);

/* Least delta over the orders, at most 1; NAN when the list has no curve. */
double rdp_delta(const struct event_list *list, enum privacy_adjacency adjacency, double epsilon);

#endif
