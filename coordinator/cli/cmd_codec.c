/* SPDX-License-Identifier: Apache-2.0 */
/* consilium codec: compresses an array, decompresses a frame, measures a codec on an array. */
#include "coordinator/cli/cli.h"
#include "proto/base/cleanup.h"
#include "proto/base/fs.h"
#include "proto/base/npy.h"
#include "proto/compress/codec.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char HELP[] =
    "usage: consilium codec encode --codec NAME --in X.npy --out FRAME [--seed N]\n"
    "       consilium codec decode --in FRAME --out Y.npy\n"
    "       consilium codec stats  --codec NAME --in X.npy [--seed N] [--json]\n"
    "\n"
    "X is a vector of float32 (or float64, rounded); a matrix is taken as one long vector.\n"
    "stats prints |decoded - x|^2 / |x|^2, bits per coordinate, and the speed of one thread in\n"
    "GB/s of float32.\n"
    "\n"
    "  --codec NAME   none, raw32, bf16, int8b, eden-1, eden-2, eden-3, eden-4, eden-8,\n"
    "                 topk-ef:K (a count, or a share under 1), randk-shared:R (a share)\n"
    "  --seed N       number that the frame's seed is made from (0)\n";

enum { TIMED_RUNS = 5 };

/* The vector of a .npy file as float32. */
struct vector {
    uint64_t d;
    float *x; /* owned, 64-byte aligned */
};

static void free_vector(struct vector *v)
{
    free(v->x);
}

static struct result make_vector(uint64_t d, struct vector *ret, struct why *why)
{
    if (d == 0 || d > CODEC_MAX_D)
        return failed(why, RESULT_INPUT, "a vector of 1 to %d coordinates is needed", CODEC_MAX_D);
    ret->d = d;
    ret->x = aligned_alloc(64, (size_t)((4 * d + 63) / 64 * 64));
    return ret->x ? DONE : failed(why, RESULT_SYSTEM, "no memory for the vector");
}

static struct result read_vector(const char *path, struct vector *ret, struct why *why)
{
    struct npy file;
    TRY(npy_open(path, &file, why));
    uint64_t d = (uint64_t)file.rows * file.columns;
    struct result r = make_vector(d, ret, why);
    for (uint64_t i = 0; ok(r) && i < d; i++)
        ret->x[i] = file.f32 ? file.f32[i] : (float)file.f64[i];
    npy_close(&file);
    return r;
}

struct request {
    struct codec codec;
    unsigned char seed[CODEC_SEED_BYTES];
    const char *in, *out;
    bool json;
};

static struct result take_codec(int *argc, char **argv, struct request *q, struct why *why)
{
    static const unsigned char secret[CODEC_SEED_BYTES] = "consilium codec command";
    const char *name = cli_take_option(argc, argv, "--codec");
    const char *seed = cli_take_option(argc, argv, "--seed");
    char *end = NULL;
    unsigned long long number = seed ? strtoull(seed, &end, 10) : 0;
    if (seed && (end == seed || *end))
        return failed(why, RESULT_INPUT, "--seed takes a number");
    codec_seed(secret, number, NULL, q->seed);
    return name ? codec_parse(name, &q->codec, why)
                : failed(why, RESULT_INPUT, "--codec NAME is needed");
}

static struct result encode_vector(const struct request *q, const struct vector *v,
                                   unsigned char **ret_frame, size_t *len, struct why *why)
{
    size_t cap = (size_t)codec_frame_bytes(&q->codec, v->d);
    CLEANUP(free_pointer) unsigned char *frame = malloc(cap);
    if (!frame)
        return failed(why, RESULT_SYSTEM, "no memory for the frame");
    TRY(codec_encode(&q->codec, q->seed, v->d, v->x, frame, cap, len, why));
    *ret_frame = TAKE(frame);
    return DONE;
}

static struct result run_encode(const struct request *q, struct why *why)
{
    CLEANUP(free_vector) struct vector v = {0};
    CLEANUP(free_pointer) unsigned char *frame = NULL;
    size_t len = 0;
    if (!q->in || !q->out)
        return failed(why, RESULT_INPUT, "encode needs --in X.npy and --out FRAME");
    TRY(read_vector(q->in, &v, why));
    struct result r = encode_vector(q, &v, &frame, &len, why);
    if (!ok(r))
        return failed_in(why, r, "%s", q->in);
    return fs_write_atomic(q->out, frame, len, 0644, why);
}

static struct result run_decode(const struct request *q, struct why *why)
{
    CLEANUP(free_vector) struct vector v = {0};
    CLEANUP(free_pointer) char *frame = NULL;
    size_t len = 0;
    if (!q->in || !q->out)
        return failed(why, RESULT_INPUT, "decode needs --in FRAME and --out Y.npy");
    /* The longest frame of any codec: a sparse one that keeps everything. */
    TRY(fs_read(q->in, (size_t)7 * CODEC_MAX_D, &frame, &len, why));
    uint64_t d = codec_claimed_d((const unsigned char *)frame, len);
    if (d == 0)
        return failed(why, RESULT_INPUT,
                      "%s is no compressed vector: it does not begin with the head of a frame that "
                      "'consilium codec encode' wrote",
                      q->in);
    /* Opened before memory is taken for what it claims. */
    struct codec_view view;
    struct result r = codec_open((const unsigned char *)frame, len, d, &view, why);
    if (!ok(r))
        return failed_in(why, r, "%s is cut short or damaged", q->in);
    TRY(make_vector(d, &v, why));
    codec_decode_blocks(&view, 0, view.blocks, v.x);
    return npy_write(q->out, 1, 1, (size_t)d, sizeof(float), v.x, why);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct stats {
    double nmse, bits, encode, decode; /* speeds in GB/s */
};

static struct result measure(const struct request *q, const struct vector *v, struct stats *ret,
                             struct why *why)
{
    CLEANUP(free_vector) struct vector y = {0};
    CLEANUP(free_pointer) unsigned char *frame = NULL;
    size_t len = 0, cap = (size_t)codec_frame_bytes(&q->codec, v->d);
    double encode = HUGE_VAL, decode = HUGE_VAL, error = 0, norm = 0;
    TRY(make_vector(v->d, &y, why));
    TRY(encode_vector(q, v, &frame, &len, why));
    for (int run = 0; run < TIMED_RUNS; run++) {
        double start = seconds_now();
        TRY(codec_encode(&q->codec, q->seed, v->d, v->x, frame, cap, &len, why));
        double middle = seconds_now();
        TRY(codec_decode(frame, len, v->d, y.x, why));
        encode = fmin(encode, middle - start);
        decode = fmin(decode, seconds_now() - middle);
    }
    for (uint64_t i = 0; i < v->d; i++) {
        double e = (double)y.x[i] - (double)v->x[i];
        error += e * e;
        norm += (double)v->x[i] * (double)v->x[i];
    }
    *ret = (struct stats){.nmse = norm > 0 ? error / norm : 0,
                          .bits = 8 * (double)len / (double)v->d,
                          .encode = 4e-9 * (double)v->d / fmax(encode, 1e-9),
                          .decode = 4e-9 * (double)v->d / fmax(decode, 1e-9)};
    return DONE;
}

static void print_stats(const struct request *q, const struct vector *v, const struct stats *s)
{
    char name[CODEC_NAME_BYTES];
    codec_name(&q->codec, name);
    if (!q->json) {
        printf("%s, %llu coordinates\n"
               "NMSE %.4g\nbits per coordinate %.3f\nencode %.2f GB/s\ndecode %.2f GB/s\n",
               name, (unsigned long long)v->d, s->nmse, s->bits, s->encode, s->decode);
        return;
    }
    json_t *o = json_pack("{s:s,s:I,s:f,s:f,s:f,s:f}", "codec", name, "d", (json_int_t)v->d, "nmse",
                          s->nmse, "bits_per_coordinate", s->bits, "encode_gb_per_second",
                          s->encode, "decode_gb_per_second", s->decode);
    json_dumpf(o, stdout, JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(o);
}

static struct result run_stats(const struct request *q, struct why *why)
{
    CLEANUP(free_vector) struct vector v = {0};
    struct stats stats;
    if (!q->in)
        return failed(why, RESULT_INPUT, "stats needs --in X.npy");
    TRY(read_vector(q->in, &v, why));
    struct result r = measure(q, &v, &stats, why);
    if (!ok(r))
        return failed_in(why, r, "%s", q->in);
    print_stats(q, &v, &stats);
    return DONE;
}

int cmd_codec(int argc, char **argv)
{
    struct request q = {0};
    struct why why;
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    q.json = cli_take_flag(&argc, argv, "--json");
    q.in = cli_take_option(&argc, argv, "--in");
    q.out = cli_take_option(&argc, argv, "--out");
    bool decode = argc >= 2 && strcmp(argv[1], "decode") == 0;
    if (argc >= 2 && !decode && strcmp(argv[1], "encode") != 0 && strcmp(argv[1], "stats") != 0)
        return cli_usage("codec has no \"%s\": encode, decode or stats", argv[1]);
    struct result r = decode ? DONE : take_codec(&argc, argv, &q, &why);
    if (argc != 2)
        return argc < 2 ? cli_usage("codec takes encode, decode or stats; --help tells more")
                        : cli_usage("'%s' is not an option; --help lists them", argv[2]);
    if (decode)
        r = run_decode(&q, &why);
    else if (ok(r) && strcmp(argv[1], "encode") == 0)
        r = run_encode(&q, &why);
    else if (ok(r))
        r = run_stats(&q, &why);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
