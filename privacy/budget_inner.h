/* SPDX-License-Identifier: Apache-2.0 */
/* What the decision and the records of the budget share. */
#ifndef CONSILIUM_PRIVACY_BUDGET_INNER_H
#define CONSILIUM_PRIVACY_BUDGET_INNER_H

#include "privacy/budget.h"

#include <stdbool.h>

/* limit at an order, for a ledger of (epsilon, delta). */
double budget_limit(double epsilon, double delta, int order);

/* a + b, rounded up. */
double budget_add(double a, double b);

bool budget_good_name(const char *name);

bool budget_good_opening(double epsilon, double delta);

/* Writes "<body> previous=<hex> hash=<hex>". -1 when it does not fit. */
int budget_record_close(char record[BUDGET_RECORD_MAX],
                        const unsigned char previous[BUDGET_HASH_BYTES]);

/* Appends a charge's body to an empty record. -1 when it does not fit. */
int budget_record_charge(char record[BUDGET_RECORD_MAX], const struct budget *budget,
                         const struct budget_charge *charge, int order, double rho);

#endif
