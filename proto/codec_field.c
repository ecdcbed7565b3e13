/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded copies between protobuf fields and our structs. */
#include "proto/codec_field.h"

#include <stdlib.h>
#include <string.h>

struct result field_text(char *to, size_t capacity, const char *from, const char *field,
                         struct why *why)
{
    size_t n = strnlen(from, capacity);
    if (n >= capacity)
        return failed(why, RESULT_INPUT, "field '%s' is longer than %zu bytes", field,
                      capacity - 1);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)from[i] < 0x20 || from[i] == 0x7f)
            return failed(why, RESULT_INPUT, "field '%s' holds a control character", field);
    }
    memcpy(to, from, n + 1);
    return DONE;
}

struct result field_bytes(void *to, size_t n, ProtobufCBinaryData from, const char *field,
                          struct why *why)
{
    if (from.len != n)
        return failed(why, RESULT_INPUT, "field '%s' has %zu bytes, not %zu", field, from.len, n);
    memcpy(to, from.data, n);
    return DONE;
}

struct result field_blob(void *to, size_t capacity, size_t *ret_n, ProtobufCBinaryData from,
                         const char *field, struct why *why)
{
    if (from.len > capacity)
        return failed(why, RESULT_INPUT, "field '%s' has %zu bytes, more than %zu", field, from.len,
                      capacity);
    if (from.len > 0)
        memcpy(to, from.data, from.len);
    *ret_n = from.len;
    return DONE;
}

ProtobufCBinaryData field_view(const void *bytes, size_t n)
{
    ProtobufCBinaryData view = {.len = n};
    memcpy(&view.data, &bytes, sizeof view.data);
    return view;
}

static void *budget_alloc(void *data, size_t n)
{
    struct field_budget *budget = data;
    if (n > budget->left)
        return NULL;
    budget->left -= n;
    return malloc(n ? n : 1);
}

static void budget_free(void *data, void *pointer)
{
    (void)data;
    free(pointer);
}

void field_budget_start(struct field_budget *budget, size_t bytes)
{
    budget->left = bytes;
    budget->allocator = (ProtobufCAllocator){budget_alloc, budget_free, budget};
}

char *field_string(const char *text)
{
    char *view;
    memcpy(&view, &text, sizeof view);
    return view;
}
