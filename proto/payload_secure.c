/* SPDX-License-Identifier: Apache-2.0 */
/* Words and inputs of a secure round to bytes and back, and the signatures on adverts. */
#include "proto/payload_secure.h"

#include "proto/base/cleanup.h"
#include "proto/base/endian.h"
#include "proto/codec_field.h"
#include "proto/schema/consilium.pb-c.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { REVEAL_NONE = 0, REVEAL_SEED = 1, REVEAL_KEY = 2, WORD_BYTES_MAX = SECURE_PARTS_MAX + 64 };

static size_t memory_budget(size_t n)
{
    return 8 * n + (1 << 20);
}

size_t secure_parts_bytes(enum task_kind stage, unsigned sites)
{
    switch (stage) {
    case TASK_KEYS:
        return SECURE_ADVERT_BYTES;
    case TASK_SHARES:
        return (size_t)sites * MASK_SEALED_BYTES;
    case TASK_AGREE:
        return (size_t)sites * MASK_TAG_BYTES;
    case TASK_REVEAL:
        return (size_t)sites * SECURE_REVEAL_BYTES;
    case TASK_TRAIN:
    case TASK_EVALUATE:
        break;
    }
    return 0;
}

struct result secure_word_encode(const struct secure_word *word, unsigned char **ret_bytes,
                                 size_t *ret_n, struct why *why)
{
    Cns__SecureWord m;
    cns__secure_word__init(&m);
    m.stage = word->stage;
    m.round = word->round;
    m.parts = field_view(word->parts, word->n);
    *ret_n = cns__secure_word__get_packed_size(&m);
    *ret_bytes = malloc(*ret_n + 1);
    if (!*ret_bytes)
        return failed(why, RESULT_SYSTEM, "out of memory for a word of %zu bytes", *ret_n);
    cns__secure_word__pack(&m, *ret_bytes);
    return DONE;
}

struct result secure_word_decode(struct secure_word *word, const unsigned char *bytes, size_t n,
                                 enum task_kind stage, uint32_t round, unsigned sites,
                                 struct why *why)
{
    memset(word, 0, sizeof *word);
    struct field_budget budget;
    field_budget_start(&budget, memory_budget(n));
    Cns__SecureWord *m = cns__secure_word__unpack(&budget.allocator, n, bytes);
    if (!m)
        return failed(why, RESULT_INPUT, "the word of a secure round is malformed or truncated");
    struct result r = DONE;
    if (m->stage != stage || m->round != round ||
        m->parts.len != secure_parts_bytes(stage, sites) || m->parts.len == 0) {
        r = failed(why, RESULT_INPUT, "this is no word on the %s of round %u",
                   task_kind_name(stage), round);
    } else {
        word->stage = stage;
        word->round = round;
        word->n = m->parts.len;
        word->parts = malloc(word->n);
        if (word->parts)
            memcpy(word->parts, m->parts.data, word->n);
        else
            r = failed(why, RESULT_SYSTEM, "out of memory for a word of %zu bytes", m->parts.len);
    }
    cns__secure_word__free_unpacked(m, &budget.allocator);
    return r;
}

void secure_word_free(struct secure_word *word)
{
    free(word->parts);
    memset(word, 0, sizeof *word);
}

struct result secure_input_encode(const struct secure_input *input, unsigned char **ret_bytes,
                                  size_t *ret_n, struct why *why)
{
    CLEANUP(free_pointer) Cns__SecureEntry *entries = calloc(input->count + 1, sizeof *entries);
    CLEANUP(free_pointer)
    Cns__SecureEntry **pointers = calloc(input->count + 1, sizeof(Cns__SecureEntry *));
    if (!entries || !pointers)
        return failed(why, RESULT_SYSTEM, "out of memory for the input of a secure round");
    Cns__SecureInput m;
    cns__secure_input__init(&m);
    for (size_t i = 0; i < input->count; i++) {
        cns__secure_entry__init(&entries[i]);
        entries[i].site = input->entries[i].site;
        entries[i].sign_key = field_view(input->entries[i].sign_key, 32);
        entries[i].word = field_view(input->entries[i].word, input->entries[i].n);
        pointers[i] = &entries[i];
    }
    m.stage = input->stage;
    m.round = input->round;
    m.n_entries = input->count;
    m.entries = pointers;
    *ret_n = cns__secure_input__get_packed_size(&m);
    *ret_bytes = malloc(*ret_n + 1);
    if (!*ret_bytes)
        return failed(why, RESULT_SYSTEM, "out of memory for the input of a secure round");
    cns__secure_input__pack(&m, *ret_bytes);
    return DONE;
}

static struct result read_entry(struct secure_entry *to, const Cns__SecureEntry *from,
                                struct why *why)
{
    to->site = from->site;
    TRY(field_bytes(to->sign_key, sizeof to->sign_key, from->sign_key, "sign_key", why));
    if (from->word.len > WORD_BYTES_MAX)
        return failed(why, RESULT_INPUT, "a word of %zu bytes is longer than %d", from->word.len,
                      WORD_BYTES_MAX);
    to->n = from->word.len;
    to->word = malloc(to->n + 1);
    if (!to->word)
        return failed(why, RESULT_SYSTEM, "out of memory for a word of %zu bytes", to->n);
    if (to->n > 0)
        memcpy(to->word, from->word.data, to->n);
    return DONE;
}

static struct result read_input(struct secure_input *input, const Cns__SecureInput *from,
                                unsigned sites, struct why *why)
{
    if (from->n_entries > sites)
        return failed(why, RESULT_INPUT, "%zu entries for %u sites", from->n_entries, sites);
    input->entries = calloc(from->n_entries + 1, sizeof *input->entries);
    if (!input->entries)
        return failed(why, RESULT_SYSTEM, "out of memory for the input of a secure round");
    for (size_t i = 0; i < from->n_entries; i++) {
        uint32_t site = from->entries[i]->site;
        if (site >= sites || (i > 0 && site <= from->entries[i - 1]->site))
            return failed(why, RESULT_INPUT, "the entries do not stand in the plan's order");
        input->count = i + 1;
        TRY(read_entry(&input->entries[i], from->entries[i], why));
    }
    return DONE;
}

struct result secure_input_decode(struct secure_input *input, const unsigned char *bytes, size_t n,
                                  enum task_kind stage, uint32_t round, unsigned sites,
                                  struct why *why)
{
    memset(input, 0, sizeof *input);
    struct field_budget budget;
    field_budget_start(&budget, memory_budget(n));
    Cns__SecureInput *m = cns__secure_input__unpack(&budget.allocator, n, bytes);
    if (!m)
        return failed(why, RESULT_INPUT, "the input of a secure round is malformed or truncated");
    struct result r = DONE;
    if (m->stage != stage || m->round != round)
        r = failed(why, RESULT_INPUT, "this is no input for the %s of round %u",
                   task_kind_name(stage), round);
    else
        r = read_input(input, m, sites, why);
    cns__secure_input__free_unpacked(m, &budget.allocator);
    input->stage = stage;
    input->round = round;
    if (!ok(r))
        secure_input_free(input);
    return r;
}

void secure_input_free(struct secure_input *input)
{
    for (size_t i = 0; i < input->count; i++)
        free(input->entries[i].word);
    free(input->entries);
    memset(input, 0, sizeof *input);
}

static void hash_scope(const struct secure_scope *scope, unsigned char hash[32])
{
    static const char use[] = "consilium secure round 1";
    unsigned char numbers[8];
    crypto_generichash_state state;
    little_put(numbers, scope->task, 4);
    little_put(numbers + 4, scope->round, 4);
    crypto_generichash_init(&state, (const unsigned char *)use, sizeof use, 32);
    crypto_generichash_update(&state, scope->plan_hash, PLAN_HASH_BYTES);
    crypto_generichash_update(&state, scope->model_hash, PLAN_HASH_BYTES);
    crypto_generichash_update(&state, numbers, sizeof numbers);
    crypto_generichash_update(&state, (const unsigned char *)scope->study,
                              strlen(scope->study) + 1);
    crypto_generichash_final(&state, hash, 32);
}

uint64_t secure_scope_number(const struct secure_scope *scope)
{
    unsigned char hash[32];
    hash_scope(scope, hash);
    return little_get(hash, 8);
}

/* What is signed: a label, the scope, the site's name, the advert. */
enum { SIGNED_BYTES = 32 + 32 + PLAN_NAME_BYTES + 3 * MASK_KEY_BYTES };
static void signed_bytes(const struct secure_scope *scope, const char *site,
                         const unsigned char *advert, unsigned char out[SIGNED_BYTES])
{
    static const char LABEL[32] = "consilium secure advert 1";
    memset(out, 0, SIGNED_BYTES);
    memcpy(out, LABEL, sizeof LABEL);
    hash_scope(scope, out + 32);
    memcpy(out + 64, site, strnlen(site, PLAN_NAME_BYTES - 1));
    memcpy(out + 64 + PLAN_NAME_BYTES, advert, 3 * MASK_KEY_BYTES);
}

void secure_advert_sign(const struct secure_scope *scope, const char *site,
                        const struct mask_advert *advert, const unsigned char *sign_secret,
                        unsigned char *parts)
{
    unsigned char text[SIGNED_BYTES];
    memcpy(parts, advert->mask_public, MASK_KEY_BYTES);
    memcpy(parts + MASK_KEY_BYTES, advert->box_public, MASK_KEY_BYTES);
    memcpy(parts + 2 * MASK_KEY_BYTES, advert->commitment, MASK_KEY_BYTES);
    signed_bytes(scope, site, parts, text);
    crypto_sign_detached(parts + 3 * MASK_KEY_BYTES, NULL, text, sizeof text, sign_secret);
}

bool secure_advert_open(const struct secure_scope *scope, const char *site,
                        const unsigned char *parts, const unsigned char *sign_key,
                        struct mask_advert *advert)
{
    unsigned char text[SIGNED_BYTES];
    signed_bytes(scope, site, parts, text);
    if (crypto_sign_verify_detached(parts + 3 * MASK_KEY_BYTES, text, sizeof text, sign_key) != 0)
        return false;
    memcpy(advert->mask_public, parts, MASK_KEY_BYTES);
    memcpy(advert->box_public, parts + MASK_KEY_BYTES, MASK_KEY_BYTES);
    memcpy(advert->commitment, parts + 2 * MASK_KEY_BYTES, MASK_KEY_BYTES);
    return true;
}

void secure_reveals_put(const struct mask_reveal *reveals, unsigned sites, unsigned char *parts)
{
    memset(parts, 0, (size_t)sites * SECURE_REVEAL_BYTES);
    for (unsigned i = 0; i < sites; i++) {
        unsigned char *p = parts + (size_t)i * SECURE_REVEAL_BYTES;
        if (reveals[i].share.at == 0)
            continue;
        p[0] = reveals[i].survivor ? REVEAL_SEED : REVEAL_KEY;
        p[1] = reveals[i].share.at;
        memcpy(p + 2, reveals[i].share.value, SHAMIR_SECRET_BYTES);
    }
}

bool secure_reveals_get(const unsigned char *parts, unsigned sites, struct mask_reveal *reveals)
{
    memset(reveals, 0, sites * sizeof *reveals);
    for (unsigned i = 0; i < sites; i++) {
        const unsigned char *p = parts + (size_t)i * SECURE_REVEAL_BYTES;
        if (p[0] > REVEAL_KEY || (p[0] == REVEAL_NONE) != (p[1] == 0))
            return false;
        reveals[i].survivor = p[0] == REVEAL_SEED;
        reveals[i].share.at = p[1];
        memcpy(reveals[i].share.value, p + 2, SHAMIR_SECRET_BYTES);
    }
    return true;
}
