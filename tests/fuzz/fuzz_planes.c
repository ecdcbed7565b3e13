/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile compressed models: refused with a reason, or unpacked within their bounds. */
#include "proto/compress/planes.h"
#include "proto/transfer_pack.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_D = 1 << 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float x[MAX_D];
    struct why why = {""};
    uint64_t d = 1;
    if (size >= PLANES_HEADER_BYTES)
        memcpy(&d, data + 8, sizeof d);
    if (d > MAX_D)
        d = MAX_D;
    if (!ok(planes_unpack(data, size, d, x, &why)) && !why.text[0])
        abort();
    /* The same as what an object's packed form claims to be, cut by up to three bytes. */
    unsigned char *plain = NULL;
    size_t n = sizeof(float) * (size_t)d - (size > 0 ? data[size - 1] & 3 : 0);
    struct result r = transfer_unpack(data, size, n, &plain, &why);
    if (ok(r) != (plain != NULL))
        abort();
    free(plain);
    return 0;
}
