/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error feedback (Seide et al. 2014; Karimireddy et al. 2019): what a biased codec dropped in one
 * round is added to the next.
 *   p_t = u_t + e_t,   send C(p_t),   e_{t+1} = p_t - C(p_t),   e_0 = 0
 *
 * u_t must be the vector that could be sent in clear: clipped and, where the study has privacy
 * noise, noised. The residual is then a function of released vectors and seeds alone, so what it
 * carries into later rounds is post-processing and costs no privacy. Fed with un-noised values it
 * would carry patients' contributions past their clip and noise; hence there is one entry point,
 * it takes the release, and nothing else can write the residual but its own saved copy.
 */
#ifndef CONSILIUM_COMPRESS_FEEDBACK_H
#define CONSILIUM_COMPRESS_FEEDBACK_H

#include "proto/compress/codec.h"

/* The residual e_t of one site, one study. Zero-initialise; feedback_free when done. */
struct feedback {
    size_t d;
    float *residual; /* [d], owned */
};

/* e = 0 for d coordinates. RESULT_SYSTEM: no memory. */
struct result feedback_init(struct feedback *feedback, size_t d, struct why *why) MUST_CHECK;

void feedback_free(struct feedback *feedback);

/* Encodes release[d] + residual like codec_encode and keeps what the frame dropped. The residual
 * is unchanged on failure. Call once for a round that counts: a frame sent again must be the same
 * bytes, not a second call. */
struct result feedback_encode(struct feedback *feedback, const struct codec *codec,
                              const unsigned char seed[CODEC_SEED_BYTES], const float *release,
                              unsigned char *frame, size_t cap, size_t *len,
                              struct why *why) MUST_CHECK;

#endif
