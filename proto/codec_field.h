/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded copies between protobuf fields and our structs; only for the files that include protobuf.
 */
#ifndef CONSILIUM_CODEC_FIELD_H
#define CONSILIUM_CODEC_FIELD_H

#include "proto/base/result.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

/* Copies a text that must fit, with its zero, and hold no control characters. */
struct result field_text(char *to, size_t capacity, const char *from, const char *field,
                         struct why *why) MUST_CHECK;

/* Copies a byte field of exactly n bytes. */
struct result field_bytes(void *to, size_t n, ProtobufCBinaryData from, const char *field,
                          struct why *why) MUST_CHECK;

/* Copies a byte field of at most capacity bytes; *ret_n is its length. */
struct result field_blob(void *to, size_t capacity, size_t *ret_n, ProtobufCBinaryData from,
                         const char *field, struct why *why) MUST_CHECK;

/* A borrowed view of a text or of bytes for encoding; protobuf-c never writes through it. */
char *field_string(const char *text);
ProtobufCBinaryData field_view(const void *bytes, size_t n);

/* An allocator for decoding that fails beyond a budget, so that a hostile message cannot exhaust
 * memory. */
struct field_budget {
    ProtobufCAllocator allocator;
    size_t left;
};

void field_budget_start(struct field_budget *budget, size_t bytes);

#endif
