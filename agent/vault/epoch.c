/* SPDX-License-Identifier: Apache-2.0 */
/* The book's records, and what they add up to. */
#include "agent/vault/epoch.h"

#include "agent/bytes.h"
#include "proto/base/cleanup.h"
#include "proto/payload.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static struct result no_sense(struct why *why, const struct journal_record *record)
{
    return failed(why, RESULT_REFUSED, "epochs: record %llu makes no sense: the file was altered",
                  (unsigned long long)record->sequence);
}

static struct result no_memory(struct why *why)
{
    return failed(why, RESULT_SYSTEM, "no memory for the book of epochs");
}

static void blob_free(struct book_blob *blob)
{
    free(blob->offset);
    free(blob->length);
    *blob = (struct book_blob){0};
}

void epoch_book_free(struct epoch_book *book)
{
    for (size_t i = 0; i < book->epochs_count; i++)
        free(book->epochs[i].patients);
    for (size_t i = 0; i < book->references_count; i++)
        blob_free(&book->references[i].blob);
    free(book->epochs);
    free(book->references);
    blob_free(&book->pending);
    *book = (struct epoch_book){0};
}

/* ---- records ---- */

static struct result apply_chunk(struct epoch_book *book, const struct journal_record *record,
                                 struct bytes_in *in, struct why *why)
{
    struct book_blob *blob = &book->pending;
    uint32_t part = bytes_in_u32(in);
    if (part == 0)
        blob_free(blob);
    if (in->bad || part != blob->parts || in->left == 0 || in->left > BOOK_CHUNK_BYTES ||
        blob->n + in->left > BOOK_BLOB_MAX)
        return no_sense(why, record);
    uint64_t *offset = realloc(blob->offset, (blob->parts + 1) * sizeof *offset);
    if (!offset)
        return no_memory(why);
    blob->offset = offset;
    uint32_t *length = realloc(blob->length, (blob->parts + 1) * sizeof *length);
    if (!length)
        return no_memory(why);
    blob->length = length;
    offset[blob->parts] = record->offset + (record->n - in->left);
    length[blob->parts++] = (uint32_t)in->left;
    blob->n += in->left;
    return DONE;
}

static uint32_t last_number(const struct epoch_book *book, const char *line)
{
    uint32_t last = 0;
    for (size_t i = 0; i < book->epochs_count; i++)
        if (strcmp(book->epochs[i].line, line) == 0)
            last = book->epochs[i].number;
    return last;
}

static bool ascending(const uint64_t *x, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (x[i - 1] >= x[i])
            return false;
    return true;
}

static struct result apply_epoch(struct epoch_book *book, const struct journal_record *record,
                                 struct bytes_in *in, struct why *why)
{
    struct epoch epoch = {.begun_ms = record->time_ms};
    bytes_in_text(in, epoch.line, sizeof epoch.line);
    epoch.number = bytes_in_u32(in);
    if (in->bad || in->left > 0 || book->pending.n == 0 || book->pending.n % 8 != 0 ||
        book->epochs_count == BOOK_EPOCHS_MAX || epoch.number > EVALUATION_EPOCHS_MAX ||
        epoch.number != last_number(book, epoch.line) + 1)
        return no_sense(why, record);
    unsigned char *bytes = NULL;
    TRY(book_read(book, &book->pending, &bytes, why));
    epoch.n = book->pending.n / 8;
    epoch.patients = calloc(epoch.n, sizeof *epoch.patients);
    struct epoch *grown = realloc(book->epochs, (book->epochs_count + 1) * sizeof *grown);
    if (grown)
        book->epochs = grown;
    struct bytes_in hashes = {.at = bytes, .left = book->pending.n};
    for (size_t i = 0; epoch.patients && i < epoch.n; i++)
        epoch.patients[i] = bytes_in_u64(&hashes);
    free(bytes);
    if (!epoch.patients || !grown || !ascending(epoch.patients, epoch.n)) {
        bool memory = epoch.patients && grown;
        free(epoch.patients);
        return memory ? no_sense(why, record) : no_memory(why);
    }
    blob_free(&book->pending);
    book->epochs[book->epochs_count++] = epoch;
    return DONE;
}

static struct result apply_charged(struct epoch_book *book, const struct journal_record *record,
                                   struct bytes_in *in, struct why *why)
{
    char line[PLAN_NAME_BYTES], study[PLAN_NAME_BYTES];
    bytes_in_text(in, line, sizeof line);
    uint32_t number = bytes_in_u32(in);
    bytes_in_text(in, study, sizeof study);
    uint32_t task = bytes_in_u32(in), models = bytes_in_u32(in);
    if (in->bad || in->left > 0 || models > PAYLOAD_MODELS_MAX)
        return no_sense(why, record);
    for (size_t i = 0; i < book->epochs_count; i++) {
        struct epoch *epoch = &book->epochs[i];
        if (epoch->number != number || strcmp(epoch->line, line) != 0)
            continue;
        epoch->models += models;
        epoch->tasks++;
        memcpy(epoch->study, study, sizeof study);
        epoch->task = task;
        return DONE;
    }
    return no_sense(why, record);
}

static struct result apply_reference(struct epoch_book *book, const struct journal_record *record,
                                     struct bytes_in *in, struct why *why)
{
    struct book_reference reference = {.frozen_ms = record->time_ms};
    bytes_in_text(in, reference.study, sizeof reference.study);
    bytes_in_bytes(in, reference.plan_hash, sizeof reference.plan_hash);
    if (in->bad || in->left > 0 || book->pending.n == 0 ||
        book->references_count == BOOK_REFERENCES_MAX ||
        book_reference_of(book, reference.study, reference.plan_hash))
        return no_sense(why, record);
    struct book_reference *grown =
        realloc(book->references, (book->references_count + 1) * sizeof *grown);
    if (!grown)
        return no_memory(why);
    book->references = grown;
    reference.blob = book->pending;
    book->pending = (struct book_blob){0};
    book->references[book->references_count++] = reference;
    return DONE;
}

struct result epoch_book_apply(struct epoch_book *book, const struct journal_record *record,
                               struct why *why)
{
    struct bytes_in in = {.at = record->body, .left = record->n};
    switch (record->type) {
    case BOOK_CHUNK:
        return apply_chunk(book, record, &in, why);
    case BOOK_EPOCH:
        return apply_epoch(book, record, &in, why);
    case BOOK_CHARGED:
        return apply_charged(book, record, &in, why);
    case BOOK_REFERENCE:
        return apply_reference(book, record, &in, why);
    default:
        return no_sense(why, record);
    }
}

static struct result read_record(void *context, const struct journal_record *record,
                                 struct why *why)
{
    return epoch_book_apply(context, record, why);
}

struct result epoch_book_open(struct epoch_book *book, int fd, const char *name, struct why *why)
{
    *book = (struct epoch_book){0};
    struct result r = journal_open(&book->journal, fd, name, read_record, book, why);
    if (!ok(r))
        epoch_book_free(book);
    return r;
}

struct result epoch_book_look(struct epoch_book *book, int fd, const char *name, struct why *why)
{
    *book = (struct epoch_book){0};
    struct result r = journal_scan(&book->journal, fd, name, read_record, book, why);
    if (!ok(r))
        epoch_book_free(book);
    return r;
}

/* ---- writing ---- */

/* Appends a record and takes it in; frees the body. */
static struct result append(struct epoch_book *book, enum book_type type, uint64_t now_ms,
                            struct bytes_out *out, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *body = out->bytes;
    struct journal_record record;
    if (out->bad)
        return no_memory(why);
    TRY(journal_append(&book->journal, (uint16_t)type, now_ms, body, out->n, &record, why));
    return epoch_book_apply(book, &record, why);
}

static struct result append_chunks(struct epoch_book *book, uint64_t now_ms,
                                   const unsigned char *bytes, size_t n, struct why *why)
{
    if (n == 0 || n > BOOK_BLOB_MAX)
        return failed(why, RESULT_REFUSED, "%zu bytes do not fit the book of epochs", n);
    for (size_t from = 0, part = 0; from < n; from += BOOK_CHUNK_BYTES, part++) {
        size_t here = n - from < BOOK_CHUNK_BYTES ? n - from : BOOK_CHUNK_BYTES;
        struct bytes_out out = {0};
        bytes_out_u32(&out, (uint32_t)part);
        bytes_out_bytes(&out, bytes + from, here);
        TRY(append(book, BOOK_CHUNK, now_ms, &out, why));
    }
    return DONE;
}

struct result book_read(const struct epoch_book *book, const struct book_blob *blob,
                        unsigned char **ret_bytes, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *bytes = malloc(blob->n ? blob->n : 1);
    if (!bytes)
        return no_memory(why);
    size_t at = 0;
    for (size_t i = 0; i < blob->parts; i++) {
        TRY(journal_read(&book->journal, blob->offset[i], bytes + at, blob->length[i], why));
        at += blob->length[i];
    }
    *ret_bytes = TAKE(bytes);
    return DONE;
}

const struct book_reference *book_reference_of(const struct epoch_book *book, const char *study,
                                               const unsigned char plan_hash[PLAN_HASH_BYTES])
{
    for (size_t i = 0; i < book->references_count; i++) {
        const struct book_reference *r = &book->references[i];
        if (strcmp(r->study, study) == 0 && memcmp(r->plan_hash, plan_hash, PLAN_HASH_BYTES) == 0)
            return r;
    }
    return NULL;
}

struct result book_freeze(struct epoch_book *book, uint64_t now_ms, const char *study,
                          const unsigned char plan_hash[PLAN_HASH_BYTES],
                          const unsigned char *bytes, size_t n, struct why *why)
{
    if (book_reference_of(book, study, plan_hash))
        return DONE;
    if (book->references_count == BOOK_REFERENCES_MAX)
        return failed(why, RESULT_REFUSED, "the book of epochs holds %d references, all it can",
                      BOOK_REFERENCES_MAX);
    TRY(append_chunks(book, now_ms, bytes, n, why));
    struct bytes_out out = {0};
    bytes_out_text(&out, study);
    bytes_out_bytes(&out, plan_hash, PLAN_HASH_BYTES);
    return append(book, BOOK_REFERENCE, now_ms, &out, why);
}

static struct result begin(struct epoch_book *book, const char *line,
                           const struct epoch_choice *choice, uint64_t now_ms, struct why *why)
{
    if (book->epochs_count == BOOK_EPOCHS_MAX)
        return failed(why, RESULT_REFUSED, "the book holds %d epochs, all it can", BOOK_EPOCHS_MAX);
    struct bytes_out hashes = {0};
    for (size_t i = 0; i < choice->kept_n; i++)
        bytes_out_u64(&hashes, choice->kept[i]);
    struct result r =
        hashes.bad ? no_memory(why) : append_chunks(book, now_ms, hashes.bytes, hashes.n, why);
    free(hashes.bytes);
    TRY(r);
    struct bytes_out out = {0};
    bytes_out_text(&out, line);
    bytes_out_u32(&out, choice->number);
    return append(book, BOOK_EPOCH, now_ms, &out, why);
}

bool epoch_charged_for(const struct epoch *epoch, const char *study, uint32_t task)
{
    return epoch->tasks > 0 && epoch->task == task && strcmp(epoch->study, study) == 0;
}

struct result epoch_charge(struct epoch_book *book, const char *line,
                           const struct epoch_choice *choice, uint64_t now_ms, const char *study,
                           uint32_t task, uint32_t models, size_t *ret_index, struct why *why)
{
    *ret_index = choice->index;
    if (choice->fate == EPOCH_NEW) {
        TRY(begin(book, line, choice, now_ms, why));
        *ret_index = book->epochs_count - 1;
    }
    if (epoch_charged_for(&book->epochs[*ret_index], study, task))
        return DONE;
    struct bytes_out out = {0};
    bytes_out_text(&out, line);
    bytes_out_u32(&out, choice->number);
    bytes_out_text(&out, study);
    bytes_out_u32(&out, task);
    bytes_out_u32(&out, models);
    return append(book, BOOK_CHARGED, now_ms, &out, why);
}

/* ---- choosing ---- */

/* Patients in one of two ascending lists but not in the other. */
static void differences(const uint64_t *a, size_t n, const uint64_t *b, size_t m,
                        size_t *ret_only_a, size_t *ret_only_b)
{
    size_t i = 0, j = 0, both = 0;
    while (i < n && j < m) {
        both += a[i] == b[j];
        size_t step_a = a[i] <= b[j], step_b = b[j] <= a[i];
        i += step_a;
        j += step_b;
    }
    *ret_only_a = n - both;
    *ret_only_b = m - both;
}

static const struct epoch *latest(const struct epoch_book *book, const char *line)
{
    for (size_t i = book->epochs_count; i > 0; i--)
        if (strcmp(book->epochs[i - 1].line, line) == 0)
            return &book->epochs[i - 1];
    return NULL;
}

/* Those of a that are in b too, the first skip of them left out. */
static size_t common(const uint64_t *a, size_t n, const uint64_t *b, size_t m, size_t skip,
                     uint64_t *out)
{
    size_t i = 0, j = 0, count = 0;
    while (i < n && j < m) {
        if (a[i] == b[j] && skip > 0)
            skip--;
        else if (a[i] == b[j])
            out[count++] = a[i];
        size_t step_a = a[i] <= b[j], step_b = b[j] <= a[i];
        i += step_a;
        j += step_b;
    }
    return count;
}

/* Who of the patients may be judged on, given the line's last epoch. */
static void keep(const struct epoch *last, const uint64_t *patients, size_t n, unsigned cell,
                 struct epoch_choice *c)
{
    size_t came = 0, left = 0;
    if (last)
        differences(patients, n, last->patients, last->n, &came, &left);
    if (!last || came + left >= cell || came + left == 0) {
        memcpy(c->kept, patients, n * sizeof *patients);
        c->kept_n = n;
        return;
    }
    c->waiting = came;
    c->left_out = left > 0 ? cell - left : 0;
    c->kept_n = common(patients, n, last->patients, last->n, c->left_out, c->kept);
}

struct result epoch_choose(const struct epoch_book *book, const char *line,
                           const uint64_t *patients, size_t n, unsigned cell,
                           struct epoch_choice *ret_choice, struct why *why)
{
    struct epoch_choice *c = ret_choice;
    *c = (struct epoch_choice){.fate = EPOCH_NEW, .number = last_number(book, line) + 1};
    c->kept = malloc((n + 1) * sizeof *c->kept);
    if (!c->kept)
        return no_memory(why);
    for (size_t pass = 0; pass < 2; pass++) {
        if (pass == 0) {
            memcpy(c->kept, patients, n * sizeof *patients);
            c->kept_n = n;
        } else {
            keep(latest(book, line), patients, n, cell, c);
        }
        c->fate = EPOCH_NEW;
        for (size_t i = 0; i < book->epochs_count; i++) {
            const struct epoch *epoch = &book->epochs[i];
            size_t came, left;
            if (strcmp(epoch->line, line) != 0)
                continue;
            differences(c->kept, c->kept_n, epoch->patients, epoch->n, &came, &left);
            if (came + left == 0) {
                c->fate = EPOCH_KNOWN;
                c->index = i;
                c->number = epoch->number;
                return DONE;
            }
            if (came + left < cell)
                c->fate = EPOCH_TOO_CLOSE;
        }
        if (c->fate == EPOCH_NEW)
            break;
    }
    if (c->kept_n == 0)
        c->fate = EPOCH_TOO_CLOSE;
    return DONE;
}
