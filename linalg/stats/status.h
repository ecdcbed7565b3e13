/* SPDX-License-Identifier: Apache-2.0 */
/* Why a statistic is, or is not, a number: shared by every statistic of this folder. */
#ifndef CONSILIUM_LINALG_STATS_STATUS_H
#define CONSILIUM_LINALG_STATS_STATUS_H

enum stat_status {
    STAT_OK = 0,
    STAT_INVALID_INPUT, /* a non-finite score, a label other than 0 or 1, an impossible parameter */
    STAT_EMPTY,         /* no rows */
    STAT_SINGLE_CLASS,  /* all labels alike: no ranking to judge */
    STAT_VAR_UNDEFINED, /* the estimate stands, its variance needs two of each class */
    STAT_DEGENERATE,    /* variance zero: all ties, perfect separation, identical models */
    STAT_NO_CONVERGENCE, /* a fit did not settle (separable or constant input) */
    STAT_SINGLE_SITE,    /* one site: nothing to pool */
    STAT_TOO_LARGE,      /* past a named limit */
    STAT_NO_MEMORY,
};

/* The status as a stable lower-case word, such as "single_class". */
const char *stat_status_name(enum stat_status status);

/* Normal quantile at .975, the width of every two-sided 95 % interval here. */
#define STAT_Z975 1.959963984540054

#endif
