/* SPDX-License-Identifier: Apache-2.0 */
/* Models smaller on the wire: their plaintext through byte planes and zstd. */
#include "proto/transfer_pack.h"

#include "proto/base/cleanup.h"
#include "proto/compress/planes.h"

#include <stdlib.h>
#include <string.h>

static size_t words_of(size_t n)
{
    return (n + sizeof(float) - 1) / sizeof(float);
}

struct result transfer_pack(const unsigned char *plain, size_t n, unsigned char **ret_packed,
                            size_t *ret_n, struct why *why)
{
    *ret_packed = NULL;
    *ret_n = 0;
    size_t words = words_of(n);
    if (words == 0)
        return DONE;
    size_t capacity = planes_max_bytes(words);
    CLEANUP(free_pointer) float *filled = calloc(words, sizeof *filled);
    CLEANUP(free_pointer) unsigned char *packed = malloc(capacity);
    if (!filled || !packed)
        return failed(why, RESULT_SYSTEM, "out of memory to pack %zu bytes", n);
    memcpy(filled, plain, n);
    size_t length = 0;
    TRY(planes_pack(words, filled, packed, capacity, &length, why));
    if (length >= n)
        return DONE;
    *ret_packed = TAKE(packed);
    *ret_n = length;
    return DONE;
}

struct result transfer_unpack(const unsigned char *packed, size_t packed_n, size_t n,
                              unsigned char **ret_plain, struct why *why)
{
    size_t words = words_of(n);
    float *plain = malloc((words + 1) * sizeof *plain);
    if (!plain)
        return failed(why, RESULT_SYSTEM, "out of memory to unpack %zu bytes", n);
    struct result r = planes_unpack(packed, packed_n, words, plain, why);
    static const unsigned char none[sizeof(float)] = {0};
    if (ok(r) && memcmp((unsigned char *)plain + n, none, words * sizeof *plain - n) != 0)
        r = failed(why, RESULT_INPUT, "the packed object has bytes after its end");
    if (!ok(r)) {
        free(plain);
        return r;
    }
    *ret_plain = (unsigned char *)plain;
    return DONE;
}
