/* SPDX-License-Identifier: Apache-2.0 */
/* The record of everything that left, one JSON object a line, synced before it leaves: what
 * `consilium-agent show` prints and a security team reads. */
#ifndef CONSILIUM_VAULT_RECORD_H
#define CONSILIUM_VAULT_RECORD_H

#include "proto/payload.h"
#include "proto/payload_secure.h"

/* fd is held open for appending. plain: the very bytes that are sealed; their hash and number are
 * noted. */
struct result record_update(int fd, const char *study, uint32_t task,
                            const struct payload_update *update, const unsigned char *plain,
                            size_t n, struct why *why) MUST_CHECK;
struct result record_evaluation(int fd, const char *study, uint32_t task,
                                const struct payload_evaluation *evaluation,
                                const unsigned char *plain, size_t n, struct why *why) MUST_CHECK;
struct result record_word(int fd, const char *study, uint32_t task, const struct secure_word *word,
                          const char *note, const unsigned char *plain, size_t n,
                          struct why *why) MUST_CHECK;
struct result record_answer(int fd, const char *study, const struct message_study_answer *answer,
                            struct why *why) MUST_CHECK;
struct result record_declined(int fd, const char *study, uint32_t task, const char *reason,
                              struct why *why) MUST_CHECK;

#endif
