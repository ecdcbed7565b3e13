/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of the codecs on one thread: GB/s of float32 coordinates and the ratio to memcpy of the
 * same vector in the same run, by the thread's processor time, which neighbours on a busy machine
 * disturb least. usage: bench_codec [log2 of d, default 20] [seconds per figure] [kernels=NAME]
 */
#include "proto/compress/codec.h"
#include "proto/compress/eden_kernel.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct bench {
    uint64_t d;
    double seconds, memcpy_speed;
    float *x, *y;
    unsigned char *frame;
    size_t cap;
};

/* The best of repeated calls, in GB/s of d floats. */
#define BEST(b, call)                                                                              \
    __extension__({                                                                                \
        double best_ = HUGE_VAL, end_ = now() + (b)->seconds;                                      \
        do {                                                                                       \
            double start_ = now();                                                                 \
            call;                                                                                  \
            best_ = fmin(best_, now() - start_);                                                   \
        } while (now() < end_);                                                                    \
        4e-9 * (double)(b)->d / best_;                                                             \
    })

static void must(struct result r, const struct why *why)
{
    if (!ok(r)) {
        fprintf(stderr, "%s\n", why->text);
        exit(1);
    }
}

static void bench_codec(struct bench *b, const char *name)
{
    static const unsigned char seed[CODEC_SEED_BYTES] = {1};
    struct codec codec;
    struct why why;
    size_t len = 0;
    must(codec_parse(name, &codec, &why), &why);
    double encode =
        BEST(b, must(codec_encode(&codec, seed, b->d, b->x, b->frame, b->cap, &len, &why), &why));
    double decode = BEST(b, must(codec_decode(b->frame, len, b->d, b->y, &why), &why));
    double error = 0, norm = 0;
    for (uint64_t i = 0; i < b->d; i++) {
        error += pow((double)b->y[i] - (double)b->x[i], 2);
        norm += pow((double)b->x[i], 2);
    }
    printf("%-18s %6.3f bits  encode %6.2f GB/s (%.2f of memcpy)  decode %6.2f GB/s (%.2f)  "
           "NMSE %.3e\n",
           name, 8 * (double)len / (double)b->d, encode, encode / b->memcpy_speed, decode,
           decode / b->memcpy_speed, error / norm);
}

/* One set of inner loops, on blocks that stay in the cache. */
static void bench_kernel(const struct bench *given, const struct eden_kernel *k)
{
    _Alignas(64) static float y[CODEC_BLOCK];
    static unsigned char packed[CODEC_BLOCK + 8], signs[EDEN_SIGN_BYTES];
    struct bench one = *given, *b = &one;
    float table[2 * EDEN_MAX_LEVELS];
    struct eden_quantiser q;
    enum { REPEAT = 64 };
    b->d = CODEC_BLOCK * REPEAT;
    eden_quantiser_init(4, &q);
    for (unsigned i = 0; i < 16; i++)
        table[i] = (i < 8 ? 1.0F : -1.0F) * q.level[i % 8];
    for (size_t i = 0; i < sizeof signs; i++)
        signs[i] = (unsigned char)(i * 37);
    memcpy(y, b->x, sizeof y);
    volatile double sink __attribute__((unused)) = 0;
    double quantise =
        BEST(b, for (int r = 0; r < REPEAT; r++) sink += k->quantise(y, 1.0F, 4, &q, packed));
    double norm2 = BEST(b, for (int r = 0; r < REPEAT; r++) sink += k->norm2(y));
    double restore = BEST(b, for (int r = 0; r < REPEAT; r++)
                                 k->restore(packed, 4, table, y, signs, signs, NULL));
    double rotate = BEST(
        b, for (int r = 0; r < REPEAT; r++) { k->rotate(b->x, y, signs, signs, NULL); });
    printf("%-18s two rotations %.2f, quantise-4 %.2f, norm %.2f, restore-4 %.2f GB/s in cache\n",
           k->name, rotate, quantise, norm2, restore);
}

/* kernels=NAME as the last argument: eden with that set; false when it is not there. */
static bool choose_kernels(int *argc, char **argv)
{
    static const char option[] = "kernels=";
    if (*argc < 2 || strncmp(argv[*argc - 1], option, sizeof option - 1) != 0)
        return true;
    const char *name = argv[--*argc] + sizeof option - 1;
    for (const struct eden_kernel *const *k = eden_kernels_here(); *k; k++)
        if (strcmp((*k)->name, name) == 0) {
            eden_kernel_use(*k);
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"raw32",           "bf16",   "int8b",
                                        "eden-1",          "eden-2", "eden-3",
                                        "eden-4",          "eden-8", "topk-ef:0.01",
                                        "randk-shared:0.1"};
    bool known = choose_kernels(&argc, argv);
    int log2_d = argc > 1 ? atoi(argv[1]) : 20;
    if (!known || log2_d < CODEC_LOG2_BLOCK || log2_d > 28) {
        fprintf(stderr, "usage: %s [12..28] [seconds] [kernels=NAME]\n", argv[0]);
        return 2;
    }
    struct bench b = {.d = UINT64_C(1) << log2_d, .seconds = argc > 2 ? atof(argv[2]) : 0.5};
    b.cap = 5 * b.d + 4096;
    b.x = aligned_alloc(64, 4 * b.d);
    b.y = aligned_alloc(64, 4 * b.d);
    b.frame = malloc(b.cap);
    if (!b.x || !b.y || !b.frame)
        return 1;
    memset(b.frame, 1, b.cap);
    for (uint64_t i = 0; i < b.d; i++)
        b.x[i] = (float)(1e-3 * sin((double)(i * i % 7919)) * cos((double)i));
    b.memcpy_speed = BEST(&b, memcpy(b.y, b.x, 4 * b.d));
    printf("d = 2^%d, memcpy %.2f GB/s\n", log2_d, b.memcpy_speed);
    for (const struct eden_kernel *const *k = eden_kernels_here(); *k; k++)
        bench_kernel(&b, *k);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        bench_codec(&b, names[i]);
    free(b.frame);
    free(b.y);
    free(b.x);
    return 0;
}
