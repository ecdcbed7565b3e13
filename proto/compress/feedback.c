/* SPDX-License-Identifier: Apache-2.0 */
/* Error feedback around a codec. */
#include "proto/compress/feedback.h"

#include "proto/base/cleanup.h"

struct result feedback_init(struct feedback *feedback, size_t d, struct why *why)
{
    if (d == 0 || d > CODEC_MAX_D)
        return failed(why, RESULT_INPUT, "an update has 1 to %d coordinates, not %zu", CODEC_MAX_D,
                      d);
    float *residual = calloc(d, sizeof *residual);
    if (!residual)
        return failed(why, RESULT_SYSTEM, "no memory for what compression leaves over");
    *feedback = (struct feedback){.d = d, .residual = residual};
    return DONE;
}

void feedback_free(struct feedback *feedback)
{
    free(feedback->residual);
    *feedback = (struct feedback){0};
}

/* next[d] = wanted - decoded(frame), block by block. */
static void keep_rest(const struct codec_view *view, float *wanted)
{
    float tile[CODEC_BLOCK];
    for (uint64_t block = 0; block < view->blocks; block++) {
        uint64_t start = block * CODEC_BLOCK, left = view->d - start;
        codec_decode_blocks(view, block, 1, tile);
        for (uint64_t i = 0; i < CODEC_BLOCK && i < left; i++)
            wanted[start + i] -= tile[i];
    }
}

struct result feedback_encode(struct feedback *feedback, const struct codec *codec,
                              const unsigned char seed[CODEC_SEED_BYTES], const float *release,
                              unsigned char *frame, size_t cap, size_t *len, struct why *why)
{
    struct codec_view view;
    CLEANUP(free_pointer) float *wanted = malloc(feedback->d * sizeof *wanted);
    if (!wanted)
        return failed(why, RESULT_SYSTEM, "no memory to compress an update");
    for (size_t i = 0; i < feedback->d; i++)
        wanted[i] = release[i] + feedback->residual[i];
    TRY(codec_encode(codec, seed, feedback->d, wanted, frame, cap, len, why));
    TRY(codec_open(frame, *len, feedback->d, &view, why));
    keep_rest(&view, wanted);
    free(feedback->residual);
    feedback->residual = TAKE(wanted);
    return DONE;
}
