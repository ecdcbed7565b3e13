/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, texts and blocks in a row of bytes. */
#include "agent/bytes.h"

#include <stdlib.h>
#include <string.h>

static const unsigned char *take(struct bytes_in *in, size_t n)
{
    if (in->bad || n > in->left) {
        in->bad = true;
        return NULL;
    }
    const unsigned char *at = in->at;
    in->at += n;
    in->left -= n;
    return at;
}

static uint64_t take_number(struct bytes_in *in, unsigned bytes)
{
    const unsigned char *at = take(in, bytes);
    uint64_t value = 0;
    for (unsigned i = 0; at && i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint32_t bytes_in_u32(struct bytes_in *in)
{
    return (uint32_t)take_number(in, 4);
}

uint64_t bytes_in_u64(struct bytes_in *in)
{
    return take_number(in, 8);
}

double bytes_in_double(struct bytes_in *in)
{
    uint64_t bits = take_number(in, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void bytes_in_bytes(struct bytes_in *in, void *out, size_t n)
{
    const unsigned char *at = take(in, n);
    if (at)
        memcpy(out, at, n);
    else
        memset(out, 0, n);
}

void bytes_in_text(struct bytes_in *in, char *out, size_t size)
{
    size_t n = 0;
    const unsigned char *at = bytes_in_block(in, size - 1, &n);
    memset(out, 0, size);
    if (!at)
        return;
    if (memchr(at, 0, n))
        in->bad = true;
    else
        memcpy(out, at, n);
}

const unsigned char *bytes_in_block(struct bytes_in *in, size_t limit, size_t *ret_n)
{
    size_t n = bytes_in_u32(in);
    *ret_n = 0;
    if (n > limit)
        in->bad = true;
    const unsigned char *at = take(in, n);
    if (at)
        *ret_n = n;
    return at;
}

static void append(struct bytes_out *out, const void *bytes, size_t n)
{
    if (out->bad || n == 0)
        return;
    if (n > out->capacity - out->n) {
        size_t doubled = 2 * out->capacity;
        size_t capacity = doubled < out->n + n ? out->n + n : doubled;
        unsigned char *grown = realloc(out->bytes, capacity);
        if (!grown) {
            out->bad = true;
            return;
        }
        out->bytes = grown;
        out->capacity = capacity;
    }
    memcpy(out->bytes + out->n, bytes, n);
    out->n += n;
}

static void append_number(struct bytes_out *out, uint64_t value, unsigned bytes)
{
    unsigned char text[8];
    for (unsigned i = 0; i < bytes; i++)
        text[i] = (unsigned char)(value >> (8 * i));
    append(out, text, bytes);
}

void bytes_out_u32(struct bytes_out *out, uint32_t value)
{
    append_number(out, value, 4);
}

void bytes_out_u64(struct bytes_out *out, uint64_t value)
{
    append_number(out, value, 8);
}

void bytes_out_double(struct bytes_out *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    append_number(out, bits, 8);
}

void bytes_out_bytes(struct bytes_out *out, const void *bytes, size_t n)
{
    append(out, bytes, n);
}

void bytes_out_text(struct bytes_out *out, const char *text)
{
    bytes_out_block(out, text, strlen(text));
}

void bytes_out_block(struct bytes_out *out, const void *bytes, size_t n)
{
    bytes_out_u32(out, (uint32_t)n);
    append(out, bytes, n);
}
