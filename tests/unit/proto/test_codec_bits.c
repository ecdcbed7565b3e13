/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of a seed, and what they decode to, keep their bits whatever the inner loops. */
#include "proto/compress/codec.h"
#include "proto/compress/eden_kernel.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { D = 4 * CODEC_BLOCK + 101 };

/* FNV-1a of the frame and of the floats, by whose change old logs would no longer replay. */
static const struct {
    const char *name;
    uint64_t frame, floats;
} known[] = {
    {"raw32", 0x807bb6cc1fe8e2bd, 0x0ff86b0792219918},
    {"bf16", 0xc74058cd228da7a8, 0x9b5abf9d9395c70f},
    {"int8b", 0xa43e16dd42884188, 0x7d0432a759040321},
    {"eden-1", 0x4030c6ee36856103, 0xbd713d2fb06f000e},
    {"eden-2", 0x4d50c360279e87b9, 0xc9d9ff175347b015},
    {"eden-3", 0xaadab3ea4c301fbe, 0x777bc5ba87d4bbaf},
    {"eden-4", 0x41dccbd0a8479f81, 0x9c76ebbebfebbd91},
    {"eden-8", 0xbe06426ae9ec275c, 0x0cbfe6874be45b9d},
    {"topk-ef:0.01", 0x012274abbadac2c3, 0xdfe3afdc665399fe},
    {"topk-ef:0.3", 0xb9abe2837fc80533, 0xd399c57837b2384d},
    {"randk-shared:0.125", 0x6f7c57f01485dd7e, 0xad558f253383dda5},
};

static uint64_t fnv1a(const void *data, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return hash;
}

/* A dense block, one of few values with many ties, a sparse one, one of zeros, and a part. */
static void fill(float *x)
{
    uint64_t state = 1;
    for (size_t i = 0; i < D; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        int32_t v = (int32_t)(state >> 32);
        switch (i / CODEC_BLOCK) {
        case 1:
            x[i] = (float)(v % 3);
            break;
        case 2:
            x[i] = v % 100 ? 0.0F : (float)v;
            break;
        case 3:
            x[i] = v < 0 ? -0.0F : 0.0F;
            break;
        default:
            x[i] = (float)v * 0x1p-30F;
        }
    }
}

static void bits_stay(void **unused)
{
    (void)unused;
    static float x[D], y[D];
    static unsigned char frame[8 * D];
    static const unsigned char seed[CODEC_SEED_BYTES] = "bits";
    fill(x);
    for (const struct eden_kernel *const *kernel = eden_kernels_here(); *kernel; kernel++) {
        eden_kernel_use(*kernel);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            struct codec codec;
            struct why why;
            size_t len;
            assert_true(ok(codec_parse(known[i].name, &codec, &why)));
            assert_true(ok(codec_encode(&codec, seed, D, x, frame, sizeof frame, &len, &why)));
            assert_true(ok(codec_decode(frame, len, D, y, &why)));
            uint64_t got[2] = {fnv1a(frame, len), fnv1a(y, sizeof y)};
            if (got[0] != known[i].frame || got[1] != known[i].floats)
                fail_msg("%s, %s: 0x%016" PRIx64 ", 0x%016" PRIx64, (*kernel)->name, known[i].name,
                         got[0], got[1]);
        }
    }
    eden_kernel_use(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
