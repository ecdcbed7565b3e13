/* SPDX-License-Identifier: Apache-2.0 */
/* From a file to two parts: read, encode, order, split, cap, fingerprint. */
#include "agent/vault/dataset.h"

#include "agent/vault/dataset_csv.h"
#include "agent/vault/dataset_rows.h"
#include "agent/vault/locked.h"
#include "privacy/clip_norm.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void count_refusal(struct dataset_counts *counts, const char *column,
                          enum encode_reason reason, uint64_t line)
{
    counts->rows_refused++;
    unsigned i = 0;
    while (i < counts->refusals &&
           (counts->refusal[i].column != column || counts->refusal[i].reason != reason))
        i++;
    if (i == DATASET_REFUSALS_MAX)
        return;
    if (i == counts->refusals) {
        counts->refusals++;
        counts->refusal[i] = (struct dataset_refusal){column, reason, 0, line};
    }
    counts->refusal[i].rows++;
}

/* The rows of one patient that count. */
static size_t row_cap(const struct plan *plan)
{
    size_t cap = plan->privacy.max_rows_per_patient;
    if (plan->privacy.mode == PRIVACY_NONE || cap > CLIP_PATIENT_ROWS_MAX)
        return CLIP_PATIENT_ROWS_MAX;
    return cap > 0 ? cap : 1;
}

/* From public constants alone; without a declared number one slot does. */
static size_t slots_of(const struct plan *plan, const struct mapping *mapping)
{
    double declared = mapping ? (double)mapping->declared_patients : 0.0;
    double patients = fmin(declared, DATASET_ROWS_MAX) * fmin(plan->privacy.sampling_rate, 1.0);
    return clip_slots(patients > 0.0 ? (size_t)patients : 0, row_cap(plan));
}

/* Everything that one reading needs. */
struct reading {
    struct dataset *dataset;
    const struct plan *plan;
    const unsigned char *key;
    size_t slots;
    struct encoder encoder;
    struct rows rows;
};

static struct result read_rows(struct reading *r, struct csv *csv, struct why *why)
{
    struct rows *rows = &r->rows;
    struct dataset_counts *counts = &r->dataset->counts;
    for (;;) {
        bool end;
        TRY(csv_next(csv, &end, why));
        if (end)
            return DONE;
        counts->rows_read++;
        TRY(rows_reserve(rows, csv->name, why));
        struct row_key *key = &rows->key[rows->count];
        const struct encode_source *source;
        const char *id;
        struct encode_outcome outcome;
        enum encode_reason reason =
            encoder_record(&r->encoder, csv, rows->x + rows->count * rows->inputs, &outcome,
                           rows->group + rows->count * rows->groups,
                           rows->missing + rows->count * rows->missing_bytes, &key->fold, &id,
                           &source);
        if (reason != ENCODE_OK) {
            count_refusal(counts, source->name, reason, csv->line);
            continue;
        }
        rows->y[rows->count] = outcome.y;
        if (rows->timed)
            rows->time[rows->count] = outcome.time;
        rows_hash_patient(key, r->key, id, r->slots);
        key->index = (uint32_t)rows->count++;
    }
}

static struct result read_file(struct reading *r, const struct mapping *mapping, const char *name,
                               FILE *file, struct why *why)
{
    struct csv *csv;
    bool end = false;
    struct result result = csv_open(&csv, file, name, why);
    if (ok(result))
        result = csv_next(csv, &end, why);
    if (ok(result) && end)
        result = failed(why, RESULT_INPUT,
                        "%s: the file is empty; it must begin with a line of "
                        "column names",
                        name);
    if (ok(result))
        result = encoder_bind(&r->encoder, r->plan, mapping, csv, why);
    if (ok(result)) {
        r->rows.inputs = r->encoder.inputs;
        r->rows.groups = r->plan->subgroups_count;
        r->rows.timed = r->plan->label.time[0] != 0;
        r->rows.missing_bytes = encode_missing_bytes(r->plan);
        result = read_rows(r, csv, why);
    }
    csv_close(csv);
    return result;
}

/* Keys of one patient: [from, to). */
static size_t patient_end(const struct rows *rows, size_t from)
{
    size_t to = from + 1;
    while (to < rows->count &&
           memcmp(rows->key[to].patient, rows->key[from].patient, ROWS_PATIENT_BYTES) == 0)
        to++;
    return to;
}

static bool is_held_out(const struct reading *r, size_t from, size_t to)
{
    const struct row_key *key = r->rows.key;
    if (!r->encoder.folds)
        return (double)key[from].holdout * 0x1p-64 < r->plan->validation.holdout;
    for (size_t i = from; i < to; i++)
        if (key[i].fold)
            return true;
    return false;
}

static bool part_create(struct dataset_part *part, const struct reading *r, size_t rows,
                        size_t patients, bool weighted)
{
    part->slots = r->slots;
    part->x = locked_calloc(rows * r->rows.inputs + 1, sizeof *part->x);
    part->y = locked_calloc(rows + 1, sizeof *part->y);
    part->square = locked_calloc(rows + 1, sizeof *part->square);
    part->first = calloc(patients + 1, sizeof *part->first);
    part->slot_first = calloc(r->slots + 1, sizeof *part->slot_first);
    part->patient = locked_calloc(patients + 1, sizeof *part->patient);
    part->missing = locked_calloc(rows * r->rows.missing_bytes + 1, sizeof *part->missing);
    if (r->rows.timed)
        part->time = locked_calloc(rows + 1, sizeof *part->time);
    if (weighted)
        part->weight = locked_calloc(rows + 1, sizeof *part->weight);
    if (r->rows.groups)
        part->groups = locked_calloc(rows * r->rows.groups + 1, sizeof *part->groups);
    return part->x && part->y && part->square && part->first && part->slot_first && part->patient &&
           part->missing && (part->time || !r->rows.timed) && (part->weight || !weighted) &&
           (part->groups || !r->rows.groups);
}

static double class_weight(const struct plan *plan, double y)
{
    size_t k = (size_t)y;
    return k < plan->training.class_weights_count ? plan->training.class_weights[k] : 1.0;
}

/* Appends one patient's kept rows; patients arrive in the order of their slots. */
static void part_add(struct dataset_part *part, const struct reading *r, size_t from, size_t count)
{
    const struct rows *rows = &r->rows;
    for (size_t i = from; i < from + count; i++) {
        size_t at = rows->key[i].index, to = part->rows++;
        double *x = part->x + to * rows->inputs;
        memcpy(x, rows->x + at * rows->inputs, rows->inputs * sizeof *x);
        part->y[to] = rows->y[at];
        part->square[to] = clip_square(rows->inputs, x);
        if (part->time)
            part->time[to] = rows->time[at];
        if (part->weight)
            part->weight[to] = class_weight(r->plan, rows->y[at]);
        if (part->groups)
            memcpy(part->groups + to * rows->groups, rows->group + at * rows->groups, rows->groups);
        if (rows->missing_bytes)
            memcpy(part->missing + to * rows->missing_bytes,
                   rows->missing + at * rows->missing_bytes, rows->missing_bytes);
    }
    memcpy(&part->patient[part->patients], rows->key[from].patient, sizeof *part->patient);
    part->patients++;
    part->first[part->patients] = (uint32_t)part->rows;
    part->slot_first[rows->key[from].slot + 1] = (uint32_t)part->patients;
}

/* Slots without a patient begin where the slot before them ends. */
static void close_slots(struct dataset_part *part)
{
    for (size_t s = 0; s < part->slots; s++)
        if (part->slot_first[s + 1] < part->slot_first[s])
            part->slot_first[s + 1] = part->slot_first[s];
}

static bool split(struct reading *r)
{
    struct dataset *d = r->dataset;
    size_t cap = row_cap(r->plan), total = r->rows.count;
    bool weighted = r->plan->label.type != LABEL_REAL && r->plan->training.class_weights_count > 0;
    size_t rows[2] = {0}, patients[2] = {0}; /* training, holdout */
    for (size_t from = 0, to; from < total; from = to) {
        to = patient_end(&r->rows, from);
        size_t held = is_held_out(r, from, to);
        rows[held] += to - from < cap ? to - from : cap;
        patients[held]++;
    }
    if (!part_create(&d->train, r, rows[0], patients[0], weighted) ||
        !part_create(&d->holdout, r, rows[1], patients[1], weighted))
        return false;
    for (size_t from = 0, to; from < total; from = to) {
        to = patient_end(&r->rows, from);
        bool held = is_held_out(r, from, to);
        size_t kept = to - from < cap ? to - from : cap;
        /* A held-out patient's first row stands for the patient where one row must. */
        if (kept < to - from || held)
            rows_choose(r->rows.key + from, to - from, kept, r->key);
        part_add(held ? &d->holdout : &d->train, r, from, kept);
        d->counts.rows_over_cap += to - from - kept;
    }
    close_slots(&d->train);
    close_slots(&d->holdout);
    return true;
}

static struct result nothing_left(const struct dataset *d, const struct plan *plan,
                                  const char *name, struct why *why)
{
    char remark[DATASET_REMARKS][DATASET_REMARK_BYTES];
    if (dataset_remarks(d, plan, remark) == 0)
        return failed(why, RESULT_INPUT, "%s: there is no patient to train on", name);
    return failed(why, RESULT_INPUT, "%s: there is no patient to train on: %s", name, remark[0]);
}

static uint64_t keyed_seed(const struct plan *plan, const unsigned char *key)
{
    unsigned char hash[crypto_generichash_BYTES_MIN];
    uint64_t seed;
    crypto_generichash(hash, sizeof hash, plan->hash, sizeof plan->hash, key, DATASET_KEY_BYTES);
    memcpy(&seed, hash, sizeof seed);
    return seed;
}

static struct result arrange(struct reading *r, const char *name, struct why *why)
{
    struct dataset *d = r->dataset;
    d->inputs = r->rows.inputs;
    d->subgroups = r->rows.groups;
    d->missing_bytes = r->rows.missing_bytes;
    memcpy(d->counts.missing, r->encoder.missing, sizeof d->counts.missing);
    d->seed = keyed_seed(r->plan, r->key);
    rows_sort(&r->rows);
    rows_fingerprint(&r->rows, r->key, d->fingerprint);
    if (!split(r))
        return failed(why, RESULT_SYSTEM, "%s: not enough memory for its rows", name);
    return d->train.patients ? DONE : nothing_left(d, r->plan, name, why);
}

struct result dataset_load(struct dataset *dataset, const struct plan *plan,
                           const struct mapping *mapping, const char *name, FILE *file,
                           const unsigned char key[DATASET_KEY_BYTES], struct why *why)
{
    memset(dataset, 0, sizeof *dataset);
    struct reading *r = calloc(1, sizeof *r);
    if (!r)
        return failed(why, RESULT_SYSTEM, "%s: not enough memory to read the file", name);
    *r = (struct reading){.dataset = dataset, .plan = plan, .key = key};
    r->slots = slots_of(plan, mapping);
    struct result result = read_file(r, mapping, name, file, why);
    if (ok(result))
        result = arrange(r, name, why);
    rows_free(&r->rows);
    free(r);
    if (!ok(result))
        dataset_free(dataset);
    return result;
}

static bool among(const uint64_t *sorted, size_t n, uint64_t x)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && sorted[low] == x;
}

static void move_row(const struct dataset *d, struct dataset_part *part, size_t from, size_t to)
{
    memmove(part->x + to * d->inputs, part->x + from * d->inputs, d->inputs * sizeof *part->x);
    part->y[to] = part->y[from];
    part->square[to] = part->square[from];
    if (part->time)
        part->time[to] = part->time[from];
    if (part->weight)
        part->weight[to] = part->weight[from];
    if (part->groups)
        memmove(part->groups + to * d->subgroups, part->groups + from * d->subgroups, d->subgroups);
    memmove(part->missing + to * d->missing_bytes, part->missing + from * d->missing_bytes,
            d->missing_bytes);
}

void dataset_keep_holdout(struct dataset *d, const uint64_t *patients, size_t n)
{
    struct dataset_part *part = &d->holdout;
    size_t kept = 0, rows = 0, had = part->rows, slot = 0, before = part->patients;
    for (size_t i = 0; i < before; i++) {
        size_t from = part->first[i], end = part->first[i + 1];
        while (slot < part->slots && part->slot_first[slot] == i)
            part->slot_first[slot++] = (uint32_t)kept;
        if (!among(patients, n, part->patient[i]))
            continue;
        part->patient[kept] = part->patient[i];
        for (; from < end; from++)
            move_row(d, part, from, rows++);
        part->first[++kept] = (uint32_t)rows;
    }
    while (slot <= part->slots)
        part->slot_first[slot++] = (uint32_t)kept;
    part->patients = kept;
    part->rows = rows;
    sodium_memzero(part->x + rows * d->inputs, (had - rows) * d->inputs * sizeof *part->x);
    sodium_memzero(part->y + rows, (had - rows) * sizeof *part->y);
}

bool dataset_missing(const uint8_t *row, unsigned i)
{
    return row[i / 8] >> i % 8 & 1;
}

static void part_free(struct dataset_part *part)
{
    locked_free(part->x);
    locked_free(part->y);
    locked_free(part->time);
    locked_free(part->weight);
    locked_free(part->square);
    locked_free(part->groups);
    free(part->first);
    free(part->slot_first);
    locked_free(part->patient);
    locked_free(part->missing);
}

void dataset_free(struct dataset *dataset)
{
    part_free(&dataset->train);
    part_free(&dataset->holdout);
    memset(dataset, 0, sizeof *dataset);
}

struct clip_rows dataset_rows(const struct dataset_part *part)
{
    return (struct clip_rows){.x = part->x,
                              .y = part->y,
                              .weight = part->weight,
                              .square = part->square,
                              .first = part->first};
}
