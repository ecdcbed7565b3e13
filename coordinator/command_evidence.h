/* SPDX-License-Identifier: Apache-2.0 */
/* A user's signed command as the log keeps it, and as an auditor checks it. */
#ifndef CONSILIUM_COORDINATOR_COMMAND_EVIDENCE_H
#define CONSILIUM_COORDINATOR_COMMAND_EVIDENCE_H

#include "coordinator/command_inner.h"

enum { EVIDENCE_ENVELOPE_MAX = 8192 /* bytes of a command that is kept in the log */ };

/* {"by", "sign_key", "envelope" (base64)} of the command under treatment (new reference).
 * RESULT_INPUT when it is too long to be kept. */
struct result command_evidence(const struct user_command *c, json_t **ret_evidence,
                               struct why *why) MUST_CHECK;

/* Whether an entry with that evidence holds a command of that verb, signed by the key it names, and
 * by the member it names. *ret_arguments (new reference) is the command's JSON. RESULT_REFUSED. */
struct result evidence_open(const json_t *entry, const char *verb, json_t **ret_arguments,
                            struct why *why) MUST_CHECK;

#endif
