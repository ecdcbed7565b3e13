/* SPDX-License-Identifier: Apache-2.0 */
/* Small JSON files of ours (requests, rosters, bundles): strict to read, stable to write.
 *
 * Reading is bounded by the caller's file limit; duplicate keys, trailing text, strings with a zero
 * inside and fields that nobody asks for are refused. Errors are RESULT_INPUT and name the field.
 */
#ifndef CONSILIUM_BASE_RECORD_H
#define CONSILIUM_BASE_RECORD_H

#include "proto/base/result.h"

#include <stddef.h>
#include <stdint.h>

/* A JSON object. */
struct record;

/* Parses n bytes; *ret_record is owned by the caller (record_close). */
struct result record_parse(const char *text, size_t n, struct record **ret_record,
                           struct why *why) MUST_CHECK;

struct record *record_new(void);

/* NULL is fine. Children obtained below belong to their parent: never close them. */
void record_close(struct record *record);

static inline void close_record(struct record **record)
{
    record_close(*record);
}

/* The object has exactly this many fields: with the getters below, no unknown ones. */
struct result record_fields(const struct record *record, size_t count, struct why *why) MUST_CHECK;

/* A string of at most capacity - 1 bytes. */
struct result record_text(const struct record *record, const char *key, char *out, size_t capacity,
                          struct why *why) MUST_CHECK;

/* A string that must be exactly this. */
struct result record_exactly(const struct record *record, const char *key, const char *expected,
                             struct why *why) MUST_CHECK;

/* Exactly n bytes, in hexadecimal. */
struct result record_bytes(const struct record *record, const char *key, unsigned char *out,
                           size_t n, struct why *why) MUST_CHECK;

/* An integer from low to high, both at most INT64_MAX. */
struct result record_number(const struct record *record, const char *key, uint64_t low,
                            uint64_t high, uint64_t *out, struct why *why) MUST_CHECK;

struct result record_child(const struct record *record, const char *key,
                           const struct record **ret_child, struct why *why) MUST_CHECK;

/* Length of a list of objects, at most limit; then its objects by index. */
struct result record_list(const struct record *record, const char *key, size_t limit,
                          size_t *ret_count, struct why *why) MUST_CHECK;
struct result record_item(const struct record *record, const char *key, size_t index,
                          const struct record **ret_item, struct why *why) MUST_CHECK;

/* Writing. Out of memory shows as NULL from record_print. */
void record_put_text(struct record *record, const char *key, const char *text);
void record_put_bytes(struct record *record, const char *key, const unsigned char *bytes, size_t n);
void record_put_number(struct record *record, const char *key, uint64_t number);
void record_put_flag(struct record *record, const char *key, bool flag);

/* New empty child object; new empty list; new empty object at a list's end. */
struct record *record_put_child(struct record *record, const char *key);
void record_put_list(struct record *record, const char *key);
struct record *record_put_item(struct record *record, const char *key);

/* The record as indented text with a closing newline, fields in the order they were put; owned by
 * the caller (free). */
char *record_print(const struct record *record);

#endif
