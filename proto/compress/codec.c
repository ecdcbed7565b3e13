/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: header, exact size and dispatch to the codec that a frame names. */
#include "proto/compress/codec.h"

#include "proto/compress/codec_ops.h"

#include <assert.h>
#include <math.h>
#include <sodium.h>

enum { FRAME_VERSION = 1 };

static const struct codec_ops *const all_codecs[] = {
    [CODEC_RAW32] = &codec_raw32,     [CODEC_BF16] = &codec_bf16,
    [CODEC_INT8B] = &codec_int8b,     [CODEC_EDEN] = &codec_eden,
    [CODEC_TOPK_EF] = &codec_topk_ef, [CODEC_RANDK_SHARED] = &codec_randk_shared,
};
enum { CODEC_COUNT = sizeof all_codecs / sizeof all_codecs[0] };

/* Picks the fast ChaCha20; may be called again. */
static struct result start_sodium(struct why *why)
{
    if (sodium_init() < 0)
        return failed(why, RESULT_SYSTEM, "libsodium does not start");
    return DONE;
}

uint64_t codec_frame_bytes(const struct codec *codec, uint64_t d)
{
    return CODEC_HEADER_BYTES + all_codecs[codec->id]->payload_bytes(codec, d);
}

struct codec codec_for(const struct codec *codec, uint64_t d)
{
    struct codec raw = {.id = CODEC_RAW32};
    return codec_frame_bytes(codec, d) < codec_frame_bytes(&raw, d) ? *codec : raw;
}

void codec_seed(const unsigned char secret[CODEC_SEED_BYTES], uint64_t round, const char *site,
                unsigned char seed[CODEC_SEED_BYTES])
{
    static const unsigned char domain[16] = "consilium codec";
    unsigned char number[8];
    crypto_generichash_state state;
    store_u64(number, round);
    crypto_generichash_init(&state, secret, CODEC_SEED_BYTES, CODEC_SEED_BYTES);
    crypto_generichash_update(&state, domain, sizeof domain);
    crypto_generichash_update(&state, number, sizeof number);
    if (site)
        crypto_generichash_update(&state, (const unsigned char *)site, strlen(site));
    crypto_generichash_final(&state, seed, CODEC_SEED_BYTES);
    sodium_memzero(&state, sizeof state);
}

static void write_header(const struct codec *codec, const unsigned char *seed, uint64_t d,
                         unsigned char *frame)
{
    const struct codec_ops *ops = all_codecs[codec->id];
    memset(frame, 0, CODEC_HEADER_BYTES);
    memcpy(frame, ops->magic, 4);
    frame[4] = FRAME_VERSION;
    frame[5] = (unsigned char)codec->bits;
    frame[6] = CODEC_LOG2_BLOCK;
    frame[7] = (unsigned char)codec->rounds;
    store_u64(frame + 8, d);
    if (ops->seeded)
        memcpy(frame + 16, seed, CODEC_SEED_BYTES);
}

/* A vector that a codec refused, by the first coordinate that is not finite if there is one. */
static struct result refused(struct result r, uint64_t d, const float *x, struct why *why)
{
    for (uint64_t i = 0; i < d; i++)
        if (!isfinite(x[i]))
            return failed(why, r.code, "coordinate %llu is not finite", (unsigned long long)i);
    return r;
}

struct result codec_encode(const struct codec *codec, const unsigned char seed[CODEC_SEED_BYTES],
                           uint64_t d, const float *x, unsigned char *frame, size_t cap,
                           size_t *len, struct why *why)
{
    if (d == 0 || d > CODEC_MAX_D)
        return failed(why, RESULT_INPUT, "a frame holds 1 to %d coordinates, not %llu", CODEC_MAX_D,
                      (unsigned long long)d);
    uint64_t bytes = codec_frame_bytes(codec, d);
    if (bytes > cap)
        return failed(why, RESULT_INPUT, "the frame needs %llu bytes, the buffer has %zu",
                      (unsigned long long)bytes, cap);
    TRY(start_sodium(why));
    write_header(codec, seed, d, frame);
    struct result r =
        all_codecs[codec->id]->encode(codec, seed, d, x, frame + CODEC_HEADER_BYTES, why);
    if (!ok(r))
        return refused(r, d, x, why);
    *len = (size_t)bytes;
    return DONE;
}

uint64_t codec_first_over(const float *x, uint64_t d, float limit)
{
    const int32_t most = (int32_t)float_bits(limit); /* bits of magnitudes order like numbers */
    int32_t over = 0;
    for (uint64_t i = 0; i < d; i++) /* without an exit, so that it runs in vectors */
        over |= (int32_t)(float_bits(x[i]) & 0x7fffffff) > most;
    if (!over)
        return d;
    uint64_t first = 0;
    while (fabsf(x[first]) <= limit)
        first++;
    return first;
}

struct result codec_check_scale(float scale, uint64_t block, double size, double *norm2,
                                struct why *why)
{
    if (!isfinite(scale) || signbit(scale))
        return failed(why, RESULT_INPUT, "the frame's scale of block %llu is %g",
                      (unsigned long long)block, (double)scale);
    *norm2 += (double)scale * (double)scale * size;
    if (*norm2 > CODEC_MAX_NORM * CODEC_MAX_NORM)
        return failed(why, RESULT_INPUT, "the frame's scales sum to a norm over %g",
                      CODEC_MAX_NORM);
    return DONE;
}

static const struct codec_ops *find_magic(const unsigned char *frame)
{
    for (size_t i = 0; i < CODEC_COUNT; i++)
        if (!memcmp(frame, all_codecs[i]->magic, 4))
            return all_codecs[i];
    return NULL;
}

static struct result check_header(const unsigned char *frame, const struct codec_ops *ops,
                                  uint64_t d, struct why *why)
{
    if (frame[4] != FRAME_VERSION)
        return failed(why, RESULT_INPUT, "the frame has version %u, not %d", frame[4],
                      FRAME_VERSION);
    if (frame[6] != CODEC_LOG2_BLOCK)
        return failed(why, RESULT_INPUT, "the frame has blocks of 2^%u, not 2^%d", frame[6],
                      CODEC_LOG2_BLOCK);
    if (load_u64(frame + 8) != d)
        return failed(why, RESULT_INPUT, "the frame holds %llu coordinates, the model has %llu",
                      (unsigned long long)load_u64(frame + 8), (unsigned long long)d);
    if (ops->id != CODEC_EDEN && (frame[5] || frame[7]))
        return failed(why, RESULT_INPUT, "the frame's unused header bytes are not zero");
    if (!ops->seeded && !sodium_is_zero(frame + 16, CODEC_SEED_BYTES))
        return failed(why, RESULT_INPUT, "the frame carries a seed its codec does not use");
    return DONE;
}

uint64_t codec_claimed_d(const unsigned char *frame, size_t len)
{
    uint64_t d = len < CODEC_HEADER_BYTES || !find_magic(frame) ? 0 : load_u64(frame + 8);
    return d <= CODEC_MAX_D ? d : 0;
}

struct result codec_open(const unsigned char *frame, size_t len, uint64_t d, struct codec_view *ret,
                         struct why *why)
{
    if (d == 0 || d > CODEC_MAX_D)
        return failed(why, RESULT_INPUT, "a frame holds 1 to %d coordinates, not %llu", CODEC_MAX_D,
                      (unsigned long long)d);
    if (len < CODEC_HEADER_BYTES)
        return failed(why, RESULT_INPUT, "the frame has %zu bytes, a header alone has %d", len,
                      CODEC_HEADER_BYTES);
    const struct codec_ops *ops = find_magic(frame);
    if (!ops)
        return failed(why, RESULT_INPUT, "the frame's first bytes name no known codec");
    TRY(start_sodium(why));
    TRY(check_header(frame, ops, d, why));
    *ret = (struct codec_view){
        .codec = {.id = ops->id, .bits = frame[5], .rounds = frame[7]},
        .d = d,
        .blocks = codec_blocks(d),
        .seed = frame + 16,
        .payload = frame + CODEC_HEADER_BYTES,
        .payload_bytes = len - CODEC_HEADER_BYTES,
    };
    return ops->check(ret, why);
}

void codec_decode_blocks(const struct codec_view *view, uint64_t first, uint64_t count, float *out)
{
    const struct codec_ops *ops = all_codecs[view->codec.id];
    assert(first <= view->blocks && count <= view->blocks - first);
    for (uint64_t i = 0; i < count; i++) {
        float *to = out + i * CODEC_BLOCK;
        size_t n = codec_block_size(view->d, first + i);
        ops->decode_block(view, first + i, n, to, i + 1 < count ? to + n : NULL);
    }
}

struct result codec_decode(const unsigned char *frame, size_t len, uint64_t d, float *out,
                           struct why *why)
{
    struct codec_view view;
    TRY(codec_open(frame, len, d, &view, why));
    codec_decode_blocks(&view, 0, view.blocks, out);
    return DONE;
}

bool codec_view_is(const struct codec_view *view, const struct codec *planned)
{
    struct codec want = codec_for(planned, view->d);
    return view->codec.id == want.id && view->codec.bits == want.bits &&
           view->codec.rounds == want.rounds &&
           codec_frame_bytes(&want, view->d) == CODEC_HEADER_BYTES + view->payload_bytes;
}
