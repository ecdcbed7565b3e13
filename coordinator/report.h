/* SPDX-License-Identifier: Apache-2.0 */
/* The study's report: one JSON object from what the store holds. */
#ifndef CONSILIUM_COORDINATOR_REPORT_H
#define CONSILIUM_COORDINATOR_REPORT_H

#include "coordinator/store.h"

/* *ret_text is owned by the caller (free). The audit log's chain is checked against the
 * coordinator's key on the way (audit_verified). RESULT_INPUT when there is no such study. */
struct result report_text(struct store *store, const char *study,
                          const unsigned char public_key[CHAIN_PUBLIC_BYTES], char **ret_text,
                          struct why *why) MUST_CHECK;

#endif
