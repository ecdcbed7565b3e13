/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of the report, each one <figure> with an SVG; nothing where there is no data. */
#ifndef CONSILIUM_CLI_REPORT_PICTURES_H
#define CONSILIUM_CLI_REPORT_PICTURES_H

#include <jansson.h>
#include <stdio.h>

/* Distinguishable with any colour vision (Okabe and Ito 2008), and in grey by their lightness. */
#define REPORT_BLUE "#0072B2"
#define REPORT_SKY "#56B4E9"
#define REPORT_ORANGE "#E69F00"
#define REPORT_RED "#C1440E"
#define REPORT_GREEN "#009E73"
#define REPORT_INK "#1d2733"
#define REPORT_GREY "#5b6775"
#define REPORT_RULE "#d5dbe2"

/* Opens and closes a figure: heading, the SVG of width x height with its spoken title, caption. */
void picture_open(FILE *out, const char *heading, const char *title, int width, int height);
void picture_close(FILE *out, const char *caption);

/* AUROC, loss and who counted, by round. */
void picture_rounds(FILE *out, const json_t *report);

/* AUROC with its interval: pooled, each site, each subgroup. */
void picture_forest(FILE *out, const json_t *report);

/* AUROC of each subgroup over all sites, and at each site. */
void picture_groups(FILE *out, const json_t *report);

/* Calibration slope with its interval at each site. */
void picture_slopes(FILE *out, const json_t *report);

/* report_gate.c: sections without pictures. */
void section_gate(FILE *out, const json_t *report);
void section_transport(FILE *out, const json_t *report);
void section_contributions(FILE *out, const json_t *report);

/* report_strata.c: the C-index by site; hidden strata. */
void section_survival(FILE *out, const json_t *report);
void section_strata(FILE *out, const json_t *report);

/* report_gaps.c: groups against their reference groups; the AUROC expected without labels. */
void section_gaps(FILE *out, const json_t *report);
void section_expected(FILE *out, const json_t *report);

/* Epsilon spent and left of each site's budget. */
void picture_budget(FILE *out, const json_t *report);

/* Epsilon spent and left at each site, over time. */
void picture_spending(FILE *out, const json_t *report);

/* The privacy statement, where the study makes one. */
void table_statement(FILE *out, const json_t *report);

/* AUROC of every model at every site. */
void picture_matrix(FILE *out, const json_t *report);

/* AUROC and drift over time after the study; findings and incidents as a section. */
void picture_monitor(FILE *out, const json_t *report);
void table_monitor(FILE *out, const json_t *report);
/* What the aggregation saw: every site's updates by round; and their figures as a table. */
void picture_updates(FILE *out, const json_t *report);
void table_updates(FILE *out, const json_t *report);

/* Observed against predicted risk. */
void picture_calibration(FILE *out, const json_t *report);

#endif
