/* SPDX-License-Identifier: Apache-2.0 */
/* A frozen sample as bytes of the book: shape, known holdout patients, values as floats, missing
 * bits. */
#include "agent/vault/reference.h"

#include "agent/bytes.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct pick {
    uint64_t patient;
    size_t row;
};

static int by_patient(const void *a, const void *b)
{
    const struct pick *p = a, *q = b;
    return (p->patient > q->patient) - (p->patient < q->patient);
}

/* The first row of each patient, in the order of their keyed hashes: a random order. */
static struct pick *picks_of(const struct dataset_part *part)
{
    struct pick *picks = calloc(part->patients + 1, sizeof *picks);
    for (size_t i = 0; picks && i < part->patients; i++)
        picks[i] = (struct pick){part->patient[i], part->first[i]};
    if (picks && part->patients > 1)
        qsort(picks, part->patients, sizeof *picks, by_patient);
    return picks;
}

static void put_float(struct bytes_out *out, double x)
{
    float value = (float)x;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bytes_out_u32(out, bits);
}

static double take_float(struct bytes_in *in)
{
    uint32_t bits = bytes_in_u32(in);
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static size_t sample_rows(const struct dataset *dataset, const struct dataset_part *part)
{
    size_t most = REFERENCE_VALUES_MAX / (dataset->inputs ? dataset->inputs : 1);
    most = most < REFERENCE_ROWS_MAX ? most : REFERENCE_ROWS_MAX;
    return part->patients < most ? part->patients : most;
}

static void write_body(struct bytes_out *out, const struct plan *plan,
                       const struct dataset *dataset, const struct pick *sample,
                       const struct pick *known, size_t known_n)
{
    bool of_training = plan->privacy.mode == PRIVACY_NONE;
    const struct dataset_part *part = of_training ? &dataset->train : &dataset->holdout;
    size_t rows = sample_rows(dataset, part);
    bytes_out_u32(out, of_training);
    bytes_out_u64(out, part->patients);
    bytes_out_u32(out, (uint32_t)rows);
    bytes_out_u32(out, (uint32_t)dataset->inputs);
    bytes_out_u32(out, (uint32_t)dataset->missing_bytes);
    bytes_out_u32(out, (uint32_t)known_n);
    for (size_t i = 0; i < known_n; i++)
        bytes_out_u64(out, known[i].patient);
    for (size_t i = 0; i < rows; i++) {
        const double *x = part->x + sample[i].row * dataset->inputs;
        for (size_t k = 0; k < dataset->inputs; k++)
            put_float(out, x[k]);
        bytes_out_bytes(out, part->missing + sample[i].row * dataset->missing_bytes,
                        dataset->missing_bytes);
    }
}

struct result reference_freeze(struct epoch_book *book, uint64_t now_ms, const struct plan *plan,
                               const struct dataset *dataset, struct why *why)
{
    if (book_reference_of(book, plan->study, plan->hash))
        return DONE;
    bool of_training = plan->privacy.mode == PRIVACY_NONE;
    const struct dataset_part *part = of_training ? &dataset->train : &dataset->holdout;
    if (part->patients == 0 || dataset->holdout.patients > REFERENCE_KNOWN_MAX)
        return DONE;
    CLEANUP(free_pointer) struct pick *sample = picks_of(part);
    CLEANUP(free_pointer) struct pick *known = picks_of(&dataset->holdout);
    if (!sample || !known)
        return failed(why, RESULT_SYSTEM, "no memory for the reference of a study");
    struct bytes_out out = {0};
    write_body(&out, plan, dataset, sample, known, dataset->holdout.patients);
    struct result r =
        out.bad ? failed(why, RESULT_SYSTEM, "no memory for the reference of a study")
                : book_freeze(book, now_ms, plan->study, plan->hash, out.bytes, out.n, why);
    if (out.bytes)
        sodium_memzero(out.bytes, out.n);
    free(out.bytes);
    return r;
}

static bool read_body(struct bytes_in *in, struct reference *r)
{
    r->of_training = bytes_in_u32(in) != 0;
    r->patients = bytes_in_u64(in);
    r->rows = bytes_in_u32(in);
    r->inputs = bytes_in_u32(in);
    r->missing_bytes = bytes_in_u32(in);
    r->known_n = bytes_in_u32(in);
    if (in->bad || r->rows > REFERENCE_ROWS_MAX || r->known_n > REFERENCE_KNOWN_MAX ||
        (uint64_t)r->rows * r->inputs > REFERENCE_VALUES_MAX ||
        r->missing_bytes > PLAN_FEATURES_MAX / 8 ||
        in->left != r->known_n * 8 + r->rows * (r->inputs * 4 + r->missing_bytes))
        return false;
    r->x = calloc(r->rows * r->inputs + 1, sizeof *r->x);
    r->missing = calloc(r->rows * r->missing_bytes + 1, 1);
    r->known = calloc(r->known_n + 1, sizeof *r->known);
    if (!r->x || !r->missing || !r->known)
        return false;
    for (size_t i = 0; i < r->known_n; i++)
        r->known[i] = bytes_in_u64(in);
    for (size_t i = 0; i < r->rows; i++) {
        for (size_t k = 0; k < r->inputs; k++)
            r->x[i * r->inputs + k] = take_float(in);
        bytes_in_bytes(in, r->missing + i * r->missing_bytes, r->missing_bytes);
    }
    return !in->bad;
}

struct result reference_load(const struct epoch_book *book, const struct plan *plan,
                             struct reference *reference, bool *ret_found, struct why *why)
{
    *reference = (struct reference){0};
    const struct book_reference *kept = book_reference_of(book, plan->study, plan->hash);
    *ret_found = kept != NULL;
    if (!kept)
        return DONE;
    CLEANUP(free_pointer) unsigned char *bytes = NULL;
    TRY(book_read(book, &kept->blob, &bytes, why));
    struct bytes_in in = {.at = bytes, .left = kept->blob.n};
    bool whole = read_body(&in, reference);
    sodium_memzero(bytes, kept->blob.n);
    reference->frozen_ms = kept->frozen_ms;
    if (whole)
        return DONE;
    reference_free(reference);
    return failed(why, RESULT_SYSTEM, "the reference of study '%s' cannot be read", plan->study);
}

void reference_free(struct reference *reference)
{
    if (reference->x)
        sodium_memzero(reference->x, reference->rows * reference->inputs * sizeof *reference->x);
    free(reference->x);
    free(reference->missing);
    free(reference->known);
    *reference = (struct reference){0};
}
