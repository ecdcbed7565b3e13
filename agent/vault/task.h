/* SPDX-License-Identifier: Apache-2.0 */
/* One task of a study: checked, begun, trained or evaluated, released; each at most once. */
#ifndef CONSILIUM_VAULT_TASK_H
#define CONSILIUM_VAULT_TASK_H

#include "agent/vault/vault.h"

/* The body of IPC_TASK. Fills the reply: the model is needed, a result, or a signed refusal. */
struct result task_handle(struct vault *vault, const unsigned char *body, size_t n,
                          struct vault_reply *reply, struct why *why) MUST_CHECK;

/* The body of IPC_FETCH. */
struct result task_fetch(struct vault *vault, const unsigned char *body, size_t n,
                         struct vault_reply *reply, struct why *why) MUST_CHECK;

#endif
