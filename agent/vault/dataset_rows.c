/* SPDX-License-Identifier: Apache-2.0 */
/* Growing arrays of encoded rows, and the order that does not depend on the file's. */
#include "agent/vault/dataset_rows.h"

#include "agent/vault/dataset.h"
#include "agent/vault/locked.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 1024 };

/* realloc would leave a copy of patient rows behind. */
static void *grown(void *old, size_t old_bytes, size_t bytes)
{
    unsigned char *fresh = locked_calloc(bytes, 1);
    if (fresh && old) {
        memcpy(fresh, old, old_bytes);
        locked_free(old);
    }
    return fresh;
}

static bool grow(void **array, size_t each, size_t count, size_t capacity)
{
    void *fresh = grown(*array, count * each, (capacity * each / 16 + 1) * 16);
    if (!fresh)
        return false;
    *array = fresh;
    return true;
}

struct result rows_reserve(struct rows *rows, const char *name, struct why *why)
{
    if (rows->count < rows->capacity)
        return DONE;
    size_t limit = DATASET_VALUES_MAX / rows->inputs;
    limit = limit < DATASET_ROWS_MAX ? limit : DATASET_ROWS_MAX;
    if (rows->count >= limit)
        return failed(why, RESULT_INPUT,
                      "%s: more than %zu rows, the most that a study of %zu "
                      "columns can hold",
                      name, limit, rows->inputs);
    size_t capacity = rows->capacity ? 2 * rows->capacity : FIRST_CAPACITY;
    capacity = capacity < limit ? capacity : limit;
    void *x = rows->x, *y = rows->y, *group = rows->group, *key = rows->key;
    void *missing = rows->missing, *time = rows->time;
    bool done = grow(&x, rows->inputs * sizeof(double), rows->count, capacity);
    rows->x = x;
    done = done && grow(&y, sizeof(double), rows->count, capacity);
    rows->y = y;
    done = done && grow(&time, rows->timed ? sizeof(double) : 0, rows->count, capacity);
    rows->time = time;
    done = done && grow(&group, rows->groups, rows->count, capacity);
    rows->group = group;
    done = done && grow(&missing, rows->missing_bytes, rows->count, capacity);
    rows->missing = missing;
    done = done && grow(&key, sizeof(struct row_key), rows->count, capacity);
    rows->key = key;
    if (!done)
        return failed(why, RESULT_SYSTEM, "%s: not enough memory for %zu rows", name, capacity);
    rows->capacity = capacity;
    return DONE;
}

void rows_hash_patient(struct row_key *key, const unsigned char *secret, const char *id,
                       size_t slots)
{
    unsigned char hash[ROWS_PATIENT_BYTES + 16];
    uint64_t slot;
    crypto_generichash(hash, sizeof hash, (const unsigned char *)id, strlen(id), secret,
                       DATASET_KEY_BYTES);
    memcpy(key->patient, hash, ROWS_PATIENT_BYTES);
    memcpy(&key->holdout, hash + ROWS_PATIENT_BYTES, 8);
    memcpy(&slot, hash + ROWS_PATIENT_BYTES + 8, 8);
    key->slot = (uint32_t)(slot % slots);
    sodium_memzero(hash, sizeof hash);
}

static int compare(const void *a, const void *b, void *context)
{
    const struct rows *rows = context;
    const struct row_key *p = a, *q = b;
    if (p->slot != q->slot)
        return p->slot < q->slot ? -1 : 1;
    int order = memcmp(p->patient, q->patient, ROWS_PATIENT_BYTES);
    if (order == 0)
        order = memcmp(rows->x + p->index * rows->inputs, rows->x + q->index * rows->inputs,
                       rows->inputs * sizeof(double));
    if (order == 0)
        order = memcmp(rows->y + p->index, rows->y + q->index, sizeof(double));
    if (order == 0 && rows->timed)
        order = memcmp(rows->time + p->index, rows->time + q->index, sizeof(double));
    if (order == 0)
        order = memcmp(rows->group + p->index * rows->groups, rows->group + q->index * rows->groups,
                       rows->groups);
    return order;
}

void rows_sort(struct rows *rows)
{
    if (rows->count > 1)
        qsort_r(rows->key, rows->count, sizeof *rows->key, compare, rows);
}

static uint64_t rank_hash(const struct row_key *key, uint64_t rank, const unsigned char *secret)
{
    unsigned char text[ROWS_PATIENT_BYTES + sizeof rank], hash[crypto_generichash_BYTES_MIN];
    uint64_t value;
    memcpy(text, key->patient, ROWS_PATIENT_BYTES);
    memcpy(text + ROWS_PATIENT_BYTES, &rank, sizeof rank);
    crypto_generichash(hash, sizeof hash, text, sizeof text, secret, DATASET_KEY_BYTES);
    memcpy(&value, hash, sizeof value);
    return value;
}

void rows_choose(struct row_key *keys, size_t count, size_t keep, const unsigned char *secret)
{
    /* A shuffle of the first keep places (Fisher and Yates) with hashed choices. */
    for (size_t i = 0; i < keep && i + 1 < count; i++) {
        size_t j = i + (size_t)(rank_hash(keys, i, secret) % (count - i));
        struct row_key held = keys[i];
        keys[i] = keys[j];
        keys[j] = held;
    }
}

void rows_fingerprint(const struct rows *rows, const unsigned char *secret, unsigned char out[32])
{
    crypto_generichash_state state;
    uint64_t shape[3] = {rows->count, rows->inputs, rows->groups};
    crypto_generichash_init(&state, secret, DATASET_KEY_BYTES, 32);
    crypto_generichash_update(&state, (const unsigned char *)shape, sizeof shape);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row_key *key = &rows->key[i];
        size_t at = key->index;
        unsigned char fold = key->fold ? 1 : 0;
        crypto_generichash_update(&state, key->patient, ROWS_PATIENT_BYTES);
        crypto_generichash_update(&state, &fold, 1);
        crypto_generichash_update(&state, (const unsigned char *)(rows->x + at * rows->inputs),
                                  rows->inputs * sizeof(double));
        crypto_generichash_update(&state, (const unsigned char *)(rows->y + at), sizeof(double));
        if (rows->timed)
            crypto_generichash_update(&state, (const unsigned char *)(rows->time + at),
                                      sizeof(double));
        crypto_generichash_update(&state, rows->group + at * rows->groups, rows->groups);
    }
    crypto_generichash_final(&state, out, 32);
}

void rows_free(struct rows *rows)
{
    locked_free(rows->x);
    locked_free(rows->y);
    locked_free(rows->time);
    locked_free(rows->group);
    locked_free(rows->missing);
    locked_free(rows->key);
    memset(rows, 0, sizeof *rows);
}
