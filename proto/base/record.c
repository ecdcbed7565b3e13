/* SPDX-License-Identifier: Apache-2.0 */
/* Small JSON files of ours: strict to read, stable to write. */
#include "proto/base/record.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A record is a jansson object under another name, so that no one else needs its header. */
static json_t *json_of(const struct record *record)
{
    return (json_t *)(uintptr_t)record;
}

static struct record *record_of(json_t *json)
{
    return (struct record *)json;
}

struct result record_parse(const char *text, size_t n, struct record **ret_record, struct why *why)
{
    json_error_t error;
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return failed(why, RESULT_INPUT, "line %d is not JSON: %s", error.line, error.text);
    if (!json_is_object(json)) {
        json_decref(json);
        return failed(why, RESULT_INPUT, "not a JSON object");
    }
    *ret_record = record_of(json);
    return DONE;
}

struct record *record_new(void)
{
    return record_of(json_object());
}

void record_close(struct record *record)
{
    json_decref(json_of(record));
}

struct result record_fields(const struct record *record, size_t count, struct why *why)
{
    size_t has = json_object_size(json_of(record));
    if (has != count)
        return failed(why, RESULT_INPUT, "%zu fields, %zu are expected", has, count);
    return DONE;
}

/* The string under key, without a zero inside. */
static struct result text_of(const struct record *record, const char *key, const char **ret_text,
                             size_t *ret_n, struct why *why)
{
    json_t *value = json_object_get(json_of(record), key);
    if (!json_is_string(value))
        return failed(why, RESULT_INPUT, "no text '%s'", key);
    *ret_text = json_string_value(value);
    *ret_n = json_string_length(value);
    if (strlen(*ret_text) != *ret_n)
        return failed(why, RESULT_INPUT, "'%s' holds a zero byte", key);
    return DONE;
}

struct result record_text(const struct record *record, const char *key, char *out, size_t capacity,
                          struct why *why)
{
    const char *text = NULL;
    size_t n = 0;
    TRY(text_of(record, key, &text, &n, why));
    if (n >= capacity)
        return failed(why, RESULT_INPUT, "'%s' has %zu bytes, at most %zu are allowed", key, n,
                      capacity - 1);
    memcpy(out, text, n + 1);
    return DONE;
}

struct result record_exactly(const struct record *record, const char *key, const char *expected,
                             struct why *why)
{
    const char *text = NULL;
    size_t n = 0;
    TRY(text_of(record, key, &text, &n, why));
    if (strcmp(text, expected) != 0)
        return failed(why, RESULT_INPUT, "'%s' is '%.60s', expected '%s'", key, text, expected);
    return DONE;
}

struct result record_bytes(const struct record *record, const char *key, unsigned char *out,
                           size_t n, struct why *why)
{
    const char *text = NULL;
    const char *end = NULL;
    size_t length = 0, got = 0;
    TRY(text_of(record, key, &text, &length, why));
    if (length != 2 * n || sodium_hex2bin(out, n, text, length, NULL, &got, &end) != 0 ||
        got != n || end != text + length)
        return failed(why, RESULT_INPUT, "'%s' is not %zu bytes in hexadecimal", key, n);
    return DONE;
}

struct result record_number(const struct record *record, const char *key, uint64_t low,
                            uint64_t high, uint64_t *out, struct why *why)
{
    json_t *value = json_object_get(json_of(record), key);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (number < 0 || (uint64_t)number < low || (uint64_t)number > high)
        return failed(why, RESULT_INPUT, "'%s' is not a whole number from %llu to %llu", key,
                      (unsigned long long)low, (unsigned long long)high);
    *out = (uint64_t)number;
    return DONE;
}

struct result record_child(const struct record *record, const char *key,
                           const struct record **ret_child, struct why *why)
{
    json_t *value = json_object_get(json_of(record), key);
    if (!json_is_object(value))
        return failed(why, RESULT_INPUT, "no object '%s'", key);
    *ret_child = record_of(value);
    return DONE;
}

struct result record_list(const struct record *record, const char *key, size_t limit,
                          size_t *ret_count, struct why *why)
{
    json_t *value = json_object_get(json_of(record), key);
    if (!json_is_array(value))
        return failed(why, RESULT_INPUT, "no list '%s'", key);
    size_t count = json_array_size(value);
    if (count > limit)
        return failed(why, RESULT_INPUT, "'%s' has %zu entries, at most %zu are allowed", key,
                      count, limit);
    *ret_count = count;
    return DONE;
}

struct result record_item(const struct record *record, const char *key, size_t index,
                          const struct record **ret_item, struct why *why)
{
    json_t *value = json_array_get(json_object_get(json_of(record), key), index);
    if (!json_is_object(value))
        return failed(why, RESULT_INPUT, "entry %zu of '%s' is not an object", index + 1, key);
    *ret_item = record_of(value);
    return DONE;
}

void record_put_text(struct record *record, const char *key, const char *text)
{
    json_object_set_new(json_of(record), key, json_string(text));
}

void record_put_bytes(struct record *record, const char *key, const unsigned char *bytes, size_t n)
{
    char *hex = malloc(2 * n + 1);
    if (!hex)
        return;
    sodium_bin2hex(hex, 2 * n + 1, bytes, n);
    record_put_text(record, key, hex);
    free(hex);
}

void record_put_number(struct record *record, const char *key, uint64_t number)
{
    json_object_set_new(json_of(record), key, json_integer((json_int_t)number));
}

void record_put_flag(struct record *record, const char *key, bool flag)
{
    json_object_set_new(json_of(record), key, json_boolean(flag));
}

struct record *record_put_child(struct record *record, const char *key)
{
    json_t *child = json_object();
    json_object_set_new(json_of(record), key, child);
    return record_of(child);
}

void record_put_list(struct record *record, const char *key)
{
    json_object_set_new(json_of(record), key, json_array());
}

struct record *record_put_item(struct record *record, const char *key)
{
    json_t *item = json_object();
    json_array_append_new(json_object_get(json_of(record), key), item);
    return record_of(item);
}

char *record_print(const struct record *record)
{
    char *text = json_dumps(json_of(record), JSON_INDENT(2));
    if (!text)
        return NULL;
    size_t n = strlen(text);
    char *line = realloc(text, n + 2);
    if (!line) {
        free(text);
        return NULL;
    }
    memcpy(line + n, "\n", 2);
    return line;
}
