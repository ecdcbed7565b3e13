/* SPDX-License-Identifier: Apache-2.0 */
/* A study's report (coordinator/report.h) for people: a summary, and files. */
#ifndef CONSILIUM_CLI_REPORT_PRINT_H
#define CONSILIUM_CLI_REPORT_PRINT_H

#include "proto/base/result.h"

#include <jansson.h>

/* A summary on stdout. */
void report_print(const json_t *report);

/* folder/report.json, the n bytes of text, and folder/report.html of the same report. */
struct result report_write(const char *folder, const char *text, size_t n, const json_t *report,
                           struct why *why) MUST_CHECK;

/* A bar of what a site spent of what it granted; nothing without a budget. */
void budget_print(const char *site, double spent, double budget);

/* The same for a report's sites. */
void budgets_print(const json_t *sites);

#endif
