/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile update frames: whatever opens decodes to finite numbers, the same whole or by tiles. */
#include "proto/compress/codec.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_D = 1 << 16 };

static void check_decoding(const struct codec_view *view)
{
    static float all[MAX_D], tile[CODEC_BLOCK];
    codec_decode_blocks(view, 0, view->blocks, all);
    for (uint64_t i = 0; i < view->d; i++)
        if (!isfinite(all[i]))
            abort();
    for (uint64_t block = view->blocks; block-- > 0;) {
        uint64_t left = view->d - block * CODEC_BLOCK;
        codec_decode_blocks(view, block, 1, tile);
        if (memcmp(tile, all + block * CODEC_BLOCK, 4 * (left < CODEC_BLOCK ? left : CODEC_BLOCK)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct codec_view view;
    struct why why = {""};
    uint64_t d = 1;
    if (size >= CODEC_HEADER_BYTES)
        memcpy(&d, data + 8, sizeof d);
    if (d > MAX_D)
        d = MAX_D;
    if (ok(codec_open(data, size, d, &view, &why)))
        check_decoding(&view);
    else if (!why.text[0])
        abort();
    if (ok(codec_open(data, size, d + 1, &view, &why)))
        abort();
    return 0;
}
