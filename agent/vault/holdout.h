/* SPDX-License-Identifier: Apache-2.0 */
/* On whom a task's models are judged: the epoch of the loaded study's holdout, its budget of
 * queries, and what has changed since the study was activated. */
#ifndef CONSILIUM_VAULT_HOLDOUT_H
#define CONSILIUM_VAULT_HOLDOUT_H

#include "agent/vault/evaluate.h"
#include "agent/vault/vault.h"

/* What is asked of a holdout. */
struct holdout_query {
    const char *study;
    uint32_t task, models;
    uint32_t after; /* only patients who first came with a later epoch; 0 = all */
};

/* Chooses and charges the epoch for so many models of a task and leaves its patients in the loaded
 * holdout. *ret_status is EVALUATION_OK, or why there will be no figures: SCHEMA_MISMATCH (no
 * patient could be loaded), TOO_CLOSE, BUDGET_EXHAUSTED, and with after NOTHING_NEW and
 * BELOW_MINIMUM_CELL; nothing is charged then. After a query with after the caller calls
 * room_forget: what is loaded is no whole holdout. */
struct result holdout_enter(struct vault *vault, const struct holdout_query *query,
                            struct evaluation_epoch *ret_epoch, enum evaluation_status *ret_status,
                            struct why *why) MUST_CHECK;

/* Fills *drift for the first model, whose parameters (the site's own intercept included) and
 * figures are given. */
struct result holdout_drift(struct vault *vault, struct evaluator *evaluator,
                            const double *parameters, enum evaluation_status figures,
                            struct evaluation_drift *drift, struct why *why) MUST_CHECK;

/* Fills *strata for the model that the evaluator has just run, with these figures. */
struct result holdout_strata(struct vault *vault, struct evaluator *evaluator,
                             enum evaluation_status figures, struct evaluation_strata *strata,
                             struct why *why) MUST_CHECK;

/* Keeps what the study's patients look like now, before the site allows it. */
struct result holdout_freeze(struct vault *vault, struct why *why) MUST_CHECK;

#endif
