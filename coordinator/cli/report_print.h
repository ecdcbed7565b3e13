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

/* How far the groups of "disparity" lie from their reference groups over all sites, a line each. */
void gaps_print(const json_t *disparity);

/* A site's AUROC by its scores alone, were they calibrated, beside the measured one; nothing where
 * it is not known. */
void expected_print(const char *site, const json_t *drift, const json_t *auroc);

/* Both, and who has no figures and why, of a report. */
void findings_print(const json_t *report);

/* A bar of what a site spent of what it granted; nothing without a budget. */
void budget_print(const char *site, double spent, double budget);

/* The same for a report's sites. */
void budgets_print(const json_t *sites);

#endif
