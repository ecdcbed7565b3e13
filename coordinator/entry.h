/* SPDX-License-Identifier: Apache-2.0 */
/* Audit entries as JSON text: what a note of the engine says for ever. */
#ifndef CONSILIUM_COORDINATOR_ENTRY_H
#define CONSILIUM_COORDINATOR_ENTRY_H

#include "coordinator/study.h"
#include "proto/payload.h"

#include <jansson.h>

/* What the entry tells besides the study's state; all optional. */
struct entry_extra {
    const char *researcher; /* NOTE_RELEASED: the operator */
    /* [32] of the researcher, site or operator; NOTE_LAUNCHED, NOTE_ALLOWED, NOTE_RELEASED */
    const unsigned char *sign_key;
    const char *envelope;                /* NOTE_RELEASED: the operator's signed command, in hex */
    const struct payload_update *update; /* NOTE_COUNTED, NOTE_ASIDE of a training task */
    uint64_t bytes;                      /* NOTE_COUNTED, NOTE_ASIDE: as they were sent */
    const char *detail;                  /* JSON object, merged into NOTE_MODEL and NOTE_POOLED */
};

/* One compact JSON object with kind, ms, study and what the note concerns. *ret_text is owned by
 * the caller (free). */
struct result entry_text(const struct study *study, const struct effect *effect, uint64_t now_ms,
                         const struct entry_extra *extra, char **ret_text,
                         struct why *why) MUST_CHECK;

/* The object of a list whose key is that name, or NULL. */
const json_t *entry_named(const json_t *list, const char *key, const char *name);

enum { HEX_HASH_BYTES = 2 * PLAN_HASH_BYTES + 1 };

/* Lower-case hexadecimal with a closing zero. */
void hex_hash(char out[HEX_HASH_BYTES], const unsigned char hash[PLAN_HASH_BYTES]);

#endif
