/* SPDX-License-Identifier: Apache-2.0 */
/* What a local site reads from disk (mapping, policy, patients' file, holdout key), and what a
 * hostile one does to its patients in memory. */
#ifndef CONSILIUM_AGENT_LOCAL_DATA_H
#define CONSILIUM_AGENT_LOCAL_DATA_H

#include "agent/vault/vault.h"
#include "proto/local_site.h"

/* Fills mapping, policy, data and holdout key of a vault; see struct local_site_options. A plain
 * CSV file declares its rows rounded up to the next 50, and its holdout key follows from the site's
 * name. Of a policy, who may launch
 * and whether a human is asked do not count: there is nobody but the user. */
struct result local_data_open(const char *folder, const char *site, struct vault *vault,
                              struct why *why) MUST_CHECK;

/* Spoils the training patients of the loaded study. */

void local_data_poison(struct dataset *data, enum local_site_poison poison, double classes);

#endif
