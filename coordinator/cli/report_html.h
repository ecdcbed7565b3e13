/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A study's report as one self-contained HTML page: inline SVG pictures and tables, no scripts,
 * nothing fetched, printable. Every text from the report is escaped; numbers that are missing are
 * shown as missing and what has no data is left out, so any JSON object gives a well-formed page.
 *
 * "calibration" of the report (coordinator/insight.h) gives the observed risk in bins of predicted
 * risk with its interval; without it the curves follow from calibration_slope and
 * calibration_intercept.
 */
#ifndef CONSILIUM_CLI_REPORT_HTML_H
#define CONSILIUM_CLI_REPORT_HTML_H

#include "proto/base/result.h"

#include <jansson.h>

enum {
    REPORT_ROUNDS_MAX = 5000,  /* drawn */
    REPORT_SITES_MAX = 60,     /* drawn */
    REPORT_FOREST_MAX = 150,   /* rows of the forest plot */
    REPORT_MATRIX_MAX = 40,    /* models, and sites, of the matrix */
    REPORT_TABLE_MAX = 500,    /* sites in the table */
    REPORT_REFUSALS_MAX = 200, /* lines of "who did not count" */
};

/* *ret_html is owned by the caller (free). RESULT_INPUT: not an object. RESULT_SYSTEM: memory. */
struct result report_html(const json_t *report, char **ret_html, struct why *why) MUST_CHECK;

#endif
