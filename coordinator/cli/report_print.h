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

#endif
