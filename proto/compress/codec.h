/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression of one update or model: d float32 coordinates <-> one self-describing frame.
 *
 * A frame is little endian: a 48-byte header, then the payload of its codec.
 *   header: magic[4], u8 version, u8 parameter (eden: bits), u8 log2 of the block, u8 rounds
 *           (eden: of rotation), u64 d, u8 seed[32] (zero where the codec draws nothing)
 * Coordinates are grouped in blocks of CODEC_BLOCK, the last one short; every codec can decode
 * any run of blocks by itself, so an aggregator keeps frames compressed and decodes tile by tile.
 *
 *   raw32         4 bytes a coordinate, exact
 *   bf16          2 bytes, nearest even; relative error at most 2^-8 a coordinate
 *   int8b         1 byte, stochastic rounding on a grid of max|x| / 127 a block; unbiased
 *   eden-b        b bits, b in {1,2,3,4,8}; random rotation and Lloyd-Max levels; unbiased;
 *                 E||err||^2/||x||^2 = D/(1-D): .571 .133 .0358 .0095 4.1e-5 (see eden.h)
 *   topk-ef:K     the K coordinates of largest magnitude (K < 1: that share of d); biased, to be
 *                 used with error feedback (feedback.h) and a mean only
 *   randk-shared:R  a share R of the coordinates of each block, chosen by the seed, scaled by
 *                 1/R; unbiased; sites that share the seed send the same coordinates
 *
 * Order at a site: clip, noise, then compress. Decoding is bit-identical on every machine.
 */
#ifndef CONSILIUM_COMPRESS_CODEC_H
#define CONSILIUM_COMPRESS_CODEC_H

#include "proto/base/result.h"

#include <stddef.h>
#include <stdint.h>

enum {
    CODEC_BLOCK = 4096,
    CODEC_LOG2_BLOCK = 12,
    CODEC_HEADER_BYTES = 48,
    CODEC_SEED_BYTES = 32,
    CODEC_NAME_BYTES = 48,
    CODEC_MAX_D = 1 << 30, /* coordinates in one frame */
};

/* Largest Euclidean norm a scaled codec (eden, int8b) encodes or decodes: keeps every
 * intermediate of the decoder finite in float32. The admission gate has its own, tighter window. */
#define CODEC_MAX_NORM 1e33

enum codec_id {
    CODEC_RAW32 = 0,
    CODEC_BF16 = 1,
    CODEC_INT8B = 2,
    CODEC_EDEN = 3,
    CODEC_TOPK_EF = 4,
    CODEC_RANDK_SHARED = 5,
};

struct codec {
    enum codec_id id;
    unsigned bits;   /* eden: 1, 2, 3, 4 or 8; else 0 */
    unsigned rounds; /* eden: rotations, 2 (1 is only unbiased for dense vectors); else 0 */
    double keep;     /* topk-ef: count if >= 1, else share of d; randk-shared: share; else 0 */
};

/* Reads a plan's name: "none" or "raw32", "bf16", "int8b", "eden-4", "topk-ef:0.01",
 * "randk-shared:0.1". RESULT_INPUT with the accepted names. */
struct result codec_parse(const char *name, struct codec *ret, struct why *why) MUST_CHECK;

/* The plan's name of a codec, e.g. "eden-4". */
void codec_name(const struct codec *codec, char name[CODEC_NAME_BYTES]);

/* The codec to use for a vector of d coordinates where the plan says `codec`: itself, or raw32
 * where raw32's frame is not longer (a padded eden block costs more than a tiny model). */
struct codec codec_for(const struct codec *codec, uint64_t d);

/* RESULT_REFUSED with the reason where the codec would break the training: topk-ef with privacy
 * noise or with a rule other than a mean; one-round eden without noise. */
struct result codec_allowed(const struct codec *codec, bool has_privacy_noise, bool rule_is_mean,
                            struct why *why) MUST_CHECK;

/* Exact bytes of the frame of d coordinates (0 < d <= CODEC_MAX_D), header included. */
uint64_t codec_frame_bytes(const struct codec *codec, uint64_t d);

/* Seed of one round, or of one site in that round: BLAKE2b-256 keyed with the round secret over
 * (domain, round, site). site NULL: the seed all sites share (randk-shared, rotated rules). */
void codec_seed(const unsigned char secret[CODEC_SEED_BYTES], uint64_t round, const char *site,
                unsigned char seed[CODEC_SEED_BYTES]);

/* Encodes x[d] into frame[cap]; *len gets codec_frame_bytes(codec, d). Deterministic in
 * (codec, seed, x). RESULT_INPUT: d out of range, cap too small, non-finite coordinate, norm over
 * CODEC_MAX_NORM. RESULT_SYSTEM: no memory (topk-ef only; the others allocate nothing). */
struct result codec_encode(const struct codec *codec, const unsigned char seed[CODEC_SEED_BYTES],
                           uint64_t d, const float *x, unsigned char *frame, size_t cap,
                           size_t *len, struct why *why) MUST_CHECK;

/* The coordinates that an unchecked frame claims to hold, for a reader who has no d of its own to
 * expect; 0 where it is no frame or claims more than CODEC_MAX_D. */
uint64_t codec_claimed_d(const unsigned char *frame, size_t len);

/* A frame that was checked once; borrows the frame's bytes. */
struct codec_view {
    struct codec codec;
    uint64_t d;
    uint64_t blocks; /* ceil(d / CODEC_BLOCK) */
    const unsigned char *seed;
    const unsigned char *payload;
    size_t payload_bytes;
    uint64_t kept;    /* topk-ef: entries; randk-shared: of each full block; else 0 */
    double max_norm2; /* eden, int8b: sum of squared scales x block size; else 0 */
};

/* Checks a whole hostile frame that must hold exactly d coordinates and opens it: magic, version,
 * exact size, scales finite, not negative and bounded in sum, values finite, positions in order.
 * After it no decode can fail. RESULT_INPUT with the reason. */
struct result codec_open(const unsigned char *frame, size_t len, uint64_t d, struct codec_view *ret,
                         struct why *why) MUST_CHECK;

/* Decodes blocks [first, first + count) of an opened frame to out[count * CODEC_BLOCK]; a short
 * last block writes only its d % CODEC_BLOCK coordinates. first + count <= view->blocks. */
void codec_decode_blocks(const struct codec_view *view, uint64_t first, uint64_t count, float *out);

/* codec_open, then all blocks to out[d]. */
struct result codec_decode(const unsigned char *frame, size_t len, uint64_t d, float *out,
                           struct why *why) MUST_CHECK;

/* Whether a received frame is what the plan's codec gives for its d (codec_for applied). */
bool codec_view_is(const struct codec_view *view, const struct codec *planned);

#endif
