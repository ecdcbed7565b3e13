/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of "consilium aggregate": the table of rules, the check of a manifest, explanations. */
#ifndef CONSILIUM_AGGREGATE_CLI_H
#define CONSILIUM_AGGREGATE_CLI_H

#include "coordinator/aggregate/aggregate.h"

/* Prints the table of rules. Returns an exit code. */
int aggregate_list(bool json);

/* Runs every case of a reference manifest in double and prints got, expected and pass for each.
 * CLI_OK only when all passed. */
int aggregate_check(const char *manifest, bool json);

/* Prints what the aggregation saw; site i of the output is original row row_of[i]. */
void aggregate_print_explain(const struct agg_explain *explain, const size_t *row_of, bool json);

#endif
