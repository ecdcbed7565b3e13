/* SPDX-License-Identifier: Apache-2.0 */
/* Byte planes and zstd for global models. */
#include "proto/compress/planes.h"

#include "proto/base/cleanup.h"

#include <endian.h>
#include <string.h>
#include <zstd.h>

enum { PLANES = 4, LEVEL = 3 };

static const unsigned char magic[8] = {'P', 'L', 'N', '1'};

static struct result check_d(uint64_t d, struct why *why)
{
    if (d == 0 || d > PLANES_MAX_D)
        return failed(why, RESULT_INPUT, "a model has 1 to %d coordinates, not %llu", PLANES_MAX_D,
                      (unsigned long long)d);
    return DONE;
}

size_t planes_max_bytes(uint64_t d)
{
    return PLANES_HEADER_BYTES + ZSTD_compressBound((size_t)(PLANES * d));
}

static void split(uint64_t d, const float *x, unsigned char *plane)
{
    for (uint64_t i = 0; i < d; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        for (unsigned k = 0; k < PLANES; k++)
            plane[k * d + i] = (unsigned char)(bits >> 8 * k);
    }
}

static void join(uint64_t d, const unsigned char *plane, float *x)
{
    for (uint64_t i = 0; i < d; i++) {
        uint32_t bits = 0;
        for (unsigned k = 0; k < PLANES; k++)
            bits |= (uint32_t)plane[k * d + i] << 8 * k;
        memcpy(&x[i], &bits, sizeof bits);
    }
}

struct result planes_pack(uint64_t d, const float *x, unsigned char *frame, size_t cap, size_t *len,
                          struct why *why)
{
    TRY(check_d(d, why));
    if (cap < PLANES_HEADER_BYTES)
        return failed(why, RESULT_INPUT, "no room for a compressed model in %zu bytes", cap);
    CLEANUP(free_pointer) unsigned char *plane = malloc(PLANES * d);
    if (!plane)
        return failed(why, RESULT_SYSTEM, "no memory to compress a model");
    split(d, x, plane);
    uint64_t count = htole64(d);
    memcpy(frame, magic, sizeof magic);
    memcpy(frame + sizeof magic, &count, sizeof count);
    size_t bytes = ZSTD_compress(frame + PLANES_HEADER_BYTES, cap - PLANES_HEADER_BYTES, plane,
                                 PLANES * d, LEVEL);
    if (ZSTD_isError(bytes))
        return failed(why, RESULT_INPUT, "no room for a compressed model in %zu bytes: %s", cap,
                      ZSTD_getErrorName(bytes));
    *len = PLANES_HEADER_BYTES + bytes;
    return DONE;
}

/* The frame's own claims, and that it is one zstd frame to the last byte. */
static struct result check_frame(const unsigned char *frame, size_t len, uint64_t d,
                                 struct why *why)
{
    uint64_t count;
    TRY(check_d(d, why));
    if (len < PLANES_HEADER_BYTES || memcmp(frame, magic, sizeof magic))
        return failed(why, RESULT_INPUT, "the bytes are no compressed model");
    memcpy(&count, frame + sizeof magic, sizeof count);
    if (le64toh(count) != d)
        return failed(why, RESULT_INPUT, "the compressed model holds %llu coordinates, not %llu",
                      (unsigned long long)le64toh(count), (unsigned long long)d);
    const unsigned char *body = frame + PLANES_HEADER_BYTES;
    size_t bytes = len - PLANES_HEADER_BYTES;
    if (ZSTD_getFrameContentSize(body, bytes) != PLANES * d)
        return failed(why, RESULT_INPUT, "the compressed model does not unpack to its %llu bytes",
                      (unsigned long long)(PLANES * d));
    if (ZSTD_findFrameCompressedSize(body, bytes) != bytes)
        return failed(why, RESULT_INPUT, "the compressed model is cut, or has bytes after it");
    return DONE;
}

struct result planes_unpack(const unsigned char *frame, size_t len, uint64_t d, float *x,
                            struct why *why)
{
    TRY(check_frame(frame, len, d, why));
    CLEANUP(free_pointer) unsigned char *plane = malloc(PLANES * d);
    if (!plane)
        return failed(why, RESULT_SYSTEM, "no memory to unpack a model");
    size_t bytes =
        ZSTD_decompress(plane, PLANES * d, frame + PLANES_HEADER_BYTES, len - PLANES_HEADER_BYTES);
    if (ZSTD_isError(bytes) || bytes != PLANES * d)
        return failed(why, RESULT_INPUT, "the compressed model is damaged: %s",
                      ZSTD_isError(bytes) ? ZSTD_getErrorName(bytes) : "it is too short");
    join(d, plane, x);
    return DONE;
}
