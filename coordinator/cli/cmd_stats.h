/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of `consilium stats` share: a job of named inputs, and its answer as JSON. */
#ifndef CONSILIUM_CLI_CMD_STATS_H
#define CONSILIUM_CLI_CMD_STATS_H

#include "coordinator/cli/cli.h"

#include <jansson.h>
#include <stddef.h>

enum {
    STATS_CASE_BYTES = 64 << 20, /* largest JSON file */
    STATS_INPUT_ITEMS = 100000,  /* longest array inside one */
};

/* inputs: an object of parameters and file names; folder: where relative file names start, or NULL;
 * asked: an object whose keys say what is asked where inputs do not (levels, proofs), or NULL.
 * Nothing is owned. */
struct stats_job {
    const json_t *inputs;
    const char *folder;
    const json_t *asked;
};

/* Computes one statistic; *got is owned by the caller on success. */
typedef struct result stats_kind_run(const struct stats_job *job, json_t **got, struct why *why);

/* names: what the command line calls it, and what a case file calls it. files: the inputs that FILE
 * arguments fill, in order, separated by commas ("" for none). */
struct stats_kind {
    const char *name;
    const char *case_name;
    stats_kind_run *run;
    const char *files;
    const char *options; /* allowed options and their defaults: "margin=0.02 alpha=0.05 seed" */
    const char *summary;
};

/* All kinds, closed by a NULL name; the kind of a case file, or NULL. */
extern const struct stats_kind STATS_KINDS[];
const struct stats_kind *stats_kind_of_case(const char *case_name);

/* Runs every case of a file (or of every file that an index names) and prints them; adds to the
 * counts. json collects them instead when not NULL. */
struct result stats_run_cases(const char *path, json_t *json, size_t *passed, size_t *failing,
                              struct why *why) MUST_CHECK;

stats_kind_run stats_auroc, stats_auroc_paired, stats_auroc_unpaired, stats_calibration;
stats_kind_run stats_hist_auc, stats_conformal, stats_cindex, stats_subgroup, stats_suppression;
stats_kind_run stats_drift, stats_mmd, stats_permutation, stats_prng;
stats_kind_run stats_pooling, stats_group_sequential, stats_eprocess, stats_matrix;
stats_kind_run stats_gate, stats_aacp, stats_merkle, stats_hash_chain;

#endif
