/* SPDX-License-Identifier: Apache-2.0 */
/* What the site's subcommands look at: its folder, policy and ledger, without disturbing a vault at
 * work. */
#ifndef CONSILIUM_AGENT_SITE_H
#define CONSILIUM_AGENT_SITE_H

#include "agent/folder.h"
#include "agent/vault/epoch.h"
#include "agent/vault/ledger.h"

#include <jansson.h>

struct site {
    struct folder folder;
    struct policy policy;
    struct ledger ledger;   /* empty when the vault has not run yet */
    int ledger_fd;          /* -1 = none */
    struct epoch_book book; /* empty when nothing was judged yet */
    int epochs_fd;          /* -1 = none */
};

/* Zeroed by the caller. data may be NULL. End with site_close, also after a failure. */
struct result site_open(struct site *site, const char *path, const char *data,
                        struct why *why) MUST_CHECK;
void site_close(struct site *site);

/* The study of that name; RESULT_INPUT with the names that there are. */
struct result site_study(struct site *site, const char *name, struct ledger_study **ret_study,
                         struct why *why) MUST_CHECK;

/* The plan that the study's researcher signed. On success the caller owns *plan. */
struct result site_plan(const struct site *site, const struct ledger_study *study,
                        struct plan *plan, struct why *why) MUST_CHECK;

/* The holdout epochs of a label: a line each, or an array. Nothing of a patient is in them. */
void site_print_epochs(const struct site *site, const char *label);
json_t *site_epochs_json(const struct site *site, const char *label);

/* Unix time as "2026-01-31 13:45Z". */
void site_time(uint64_t time_ms, char out[24]);

#endif
