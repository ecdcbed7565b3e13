/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lossless compression of a global model: byte k of every float32 together, planes 0 to 3, then
 * zstd. Exponents and signs of neighbouring weights are alike, mantissas are not, so the planes of
 * the upper bytes shrink and those of the lower are stored.
 *
 * Frame, little endian: magic "PLN1", u32 zero, u64 d, then one zstd frame of 4 d bytes.
 */
#ifndef CONSILIUM_COMPRESS_PLANES_H
#define CONSILIUM_COMPRESS_PLANES_H

#include "proto/base/result.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PLANES_HEADER_BYTES = 16,
    PLANES_MAX_D = 1 << 30,
};

/* Most bytes a frame of d coordinates can take (0 < d <= PLANES_MAX_D). */
size_t planes_max_bytes(uint64_t d);

/* Packs x[d] bit for bit (any float, NaN included) into frame[cap]; *len gets the size.
 * RESULT_INPUT: d out of range, cap too small. RESULT_SYSTEM: no memory. */
struct result planes_pack(uint64_t d, const float *x, unsigned char *frame, size_t cap, size_t *len,
                          struct why *why) MUST_CHECK;

/* Unpacks a hostile frame that must hold exactly d coordinates into x[d]. Memory: 4 d bytes
 * beside x, whatever the frame claims. RESULT_INPUT with the reason; x is then undefined. */
struct result planes_unpack(const unsigned char *frame, size_t len, uint64_t d, float *x,
                            struct why *why) MUST_CHECK;

#endif
