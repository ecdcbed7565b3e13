/* SPDX-License-Identifier: Apache-2.0 */
/* The site's part in secure rounds. */
#include "agent/vault/secure.h"

#include "agent/vault/release.h"
#include "agent/vault/room.h"
#include "agent/vault/secure_inner.h"
#include "agent/vault/secure_kept.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct secure_round *find(const struct vault *vault, const char *study)
{
    for (size_t i = 0; i < SECURE_ROUNDS_MAX; i++)
        if (vault->secure[i] && strcmp(vault->secure[i]->study, study) == 0)
            return vault->secure[i];
    return NULL;
}

void secure_round_free(struct secure_round *round)
{
    if (!round)
        return;
    mask_site_free(round->mask);
    rng_wipe(&round->rng);
    payload_model_set_free(&round->models);
    free(round);
}

static size_t place_of(const struct vault *vault, const struct secure_round *round)
{
    size_t place = 0;
    while (vault->secure[place] != round)
        place++;
    return place;
}

/* Forgets a round, here and on disk. */
static struct result drop(struct vault *vault, struct secure_round *round, struct why *why)
{
    size_t place = place_of(vault, round);
    if (round->kept > 0)
        TRY(secure_kept_erase(vault, place, why));
    vault->secure[place] = NULL;
    secure_round_free(round);
    return DONE;
}

void secure_end(struct vault *vault)
{
    for (size_t i = 0; i < SECURE_ROUNDS_MAX; i++) {
        secure_round_free(vault->secure[i]);
        vault->secure[i] = NULL;
    }
}

void secure_over(struct vault *vault, const char *study)
{
    struct why why;
    struct secure_round *round = find(vault, study);
    if (round && !ok(drop(vault, round, &why)))
        log_error("%s: %s", study, why.text);
}

/* Whether the order is the next stage of the round here. Two may come again: AGREE, when the vault
 * ended before its answer was out; REVEAL with any later number, when too few sites answered the
 * one before. Both give the very same words (privacy/mask.h). */
static bool in_turn(const struct secure_round *round, const struct ledger_task *last, uint32_t task,
                    const struct message_task *order)
{
    uint32_t stage = task_stage(order->kind), number = round->first + stage - 1;
    if (round->round != order->round)
        return false;
    if (order->kind == TASK_REVEAL)
        return task >= number && round->stages == stage - 1;
    bool again = order->kind == TASK_AGREE && round->stages == stage &&
                 last->state == LEDGER_TASK_BEGUN && last->task == task;
    return task == number && (again || round->stages == stage - 1);
}

struct result secure_fits(const struct vault *vault, const struct ledger_study *study,
                          uint32_t task, const struct message_task *order, struct refusal *refusal)
{
    const struct plan *plan = &vault->room->plan;
    struct why *why = &refusal->why;
    refusal->kind = DECLINE_REFUSED;
    uint32_t stage = task_stage(order->kind);
    if (stage == 0 || (!plan->aggregation.secure && order->kind == TASK_TRAIN))
        return DONE;
    if (!plan->aggregation.secure)
        return failed(why, RESULT_REFUSED, "the plan has no secure aggregation");
    /* Two sums of one round, over different sites, would give single updates away; one sum may be
     * opened as often as anybody asks. */
    bool same = order->kind == TASK_REVEAL && order->round == study->revealed &&
                memcmp(order->model_hash, study->revealed_input, PLAN_HASH_BYTES) == 0;
    if (order->round <= study->revealed && !same)
        return failed(why, RESULT_REFUSED,
                      "this site already helped to open a sum of round %" PRIu32
                      ": a second one could tell single sites apart",
                      order->round);
    const struct secure_round *round = find(vault, study->name);
    refusal->kind = DECLINE_FAILED;
    if (order->kind != TASK_KEYS && (!round || !in_turn(round, &study->task, task, order)))
        return failed(why, RESULT_REFUSED,
                      "this site has no keys for round %" PRIu32
                      " any more, its vault was started anew: it takes part again in the next",
                      order->round);
    return DONE;
}

static struct result masks(enum mask_result r, struct why *why)
{
    if (r == MASK_OK)
        return DONE;
    return failed(why, r == MASK_NO_MEMORY ? RESULT_SYSTEM : RESULT_REFUSED,
                  "secure aggregation: %s", mask_text(r));
}

static struct result new_round(struct vault *vault, const struct ledger_study *study, uint32_t task,
                               const struct message_task *order, struct secure_round **ret_round,
                               struct why *why)
{
    const struct plan *plan = &vault->room->plan;
    size_t at = 0;
    struct secure_round *old = find(vault, study->name);
    if (old)
        TRY(drop(vault, old, why));
    while (at < SECURE_ROUNDS_MAX && vault->secure[at])
        at++;
    if (at == SECURE_ROUNDS_MAX)
        return failed(why, RESULT_REFUSED, "%d secure studies are under way here already",
                      SECURE_ROUNDS_MAX);
    struct secure_round *round = calloc(1, sizeof *round);
    if (!round)
        return failed(why, RESULT_SYSTEM, "no memory for a secure round");
    vault->secure[at] = round;
    memcpy(round->study, study->name, sizeof round->study);
    memcpy(round->plan_hash, study->plan_hash, sizeof round->plan_hash);
    memcpy(round->model_hash, order->model_hash, sizeof round->model_hash);
    round->round = order->round;
    round->first = task;
    round->sites = plan->sites_count;
    while (round->self < round->sites &&
           strcmp(plan->sites[round->self].name, vault->keys.site) != 0)
        round->self++;
    round->scope = (struct secure_scope){.study = round->study,
                                         .plan_hash = round->plan_hash,
                                         .model_hash = round->model_hash,
                                         .task = task,
                                         .round = order->round};
    rng_init_system(&round->rng);
    round->mask =
        mask_site_new(&round->rng, round->self, round->sites, plan->aggregation.secure_threshold,
                      secure_scope_number(&round->scope));
    if (!round->mask)
        return failed(why, RESULT_REFUSED, "the plan's numbers allow no secure aggregation");
    *ret_round = round;
    return DONE;
}

static struct result keys(struct vault *vault, const struct ledger_study *study, uint32_t task,
                          const struct message_task *order, const unsigned char *input, size_t n,
                          struct secure_word *word, char *note, struct why *why)
{
    struct secure_round *round = NULL;
    struct mask_advert advert;
    TRY(new_round(vault, study, task, order, &round, why));
    TRY(payload_model_set_decode(&round->models, input, n, why));
    mask_site_advert(round->mask, &advert);
    secure_advert_sign(&round->scope, vault->keys.site, &advert, vault->keys.secrets.sign,
                       word->parts);
    snprintf(note, WHY_BYTES, "public keys for this round");
    return DONE;
}

/* A key seen for the first time, for humans to compare with the other site's. */
static void note_key(char *note, const char *name, const unsigned char *key)
{
    char hex[17];
    size_t used = strlen(note);
    sodium_bin2hex(hex, sizeof hex, key, 8);
    snprintf(note + used, WHY_BYTES - used, "%s%s has key %s...", used > 0 ? ", " : "", name, hex);
}

/* The sites' adverts, each signed for the very same plan, round and model. */
static struct result shares(struct vault *vault, struct secure_round *round,
                            const struct secure_input *in, struct secure_word *word, char *note,
                            struct why *why)
{
    const struct plan *plan = &vault->room->plan;
    struct mask_advert adverts[PLAN_SITES_MAX] = {0};
    for (size_t i = 0; i < in->count; i++) {
        const struct secure_entry *e = &in->entries[i];
        const char *name = plan->sites[e->site].name;
        struct secure_word said;
        if (e->site == round->self &&
            memcmp(e->sign_key, vault->keys.sign_public, sizeof e->sign_key) != 0)
            return failed(why, RESULT_REFUSED, "another key than this site's stands for it");
        TRY(secure_word_decode(&said, e->word, e->n, TASK_KEYS, round->round, round->sites, why));
        bool good =
            secure_advert_open(&round->scope, name, said.parts, e->sign_key, &adverts[e->site]);
        secure_word_free(&said);
        if (!good)
            return failed(why, RESULT_REFUSED,
                          "the keys of '%s' are not signed by it for this plan, round and model",
                          name);
        bool news = false;
        if (e->site != round->self)
            TRY(ledger_peer(&vault->ledger, clock_unix_ms(), round->study, e->site, e->sign_key,
                            &news, why));
        if (news)
            note_key(note, name, e->sign_key);
    }
    TRY(masks(mask_site_peers(round->mask, adverts), why));
    TRY(masks(mask_site_shares(round->mask, &round->rng, (struct mask_sealed *)word->parts), why));
    size_t used = strlen(note);
    snprintf(note + used, WHY_BYTES - used, "%sshares of this site's secrets, sealed to %zu sites",
             used > 0 ? "; " : "", in->count - 1);
    return DONE;
}

static struct result agree(struct secure_round *round, const struct secure_input *in,
                           struct secure_word *word, char *note, struct why *why)
{
    bool survivors[PLAN_SITES_MAX] = {false};
    for (size_t i = 0; i < in->count; i++)
        survivors[in->entries[i].site] = true;
    TRY(masks(mask_site_agree(round->mask, survivors, (struct mask_tag *)word->parts), why));
    snprintf(note, WHY_BYTES, "agreed to open the sum of %zu sites", in->count);
    return DONE;
}

static struct result reveal(struct secure_round *round, const struct secure_input *in,
                            struct secure_word *word, char *note, struct why *why)
{
    struct mask_tag tags[PLAN_SITES_MAX] = {0};
    struct mask_reveal reveals[PLAN_SITES_MAX];
    unsigned seeds = 0, lost = 0;
    for (size_t i = 0; i < in->count; i++) {
        const struct secure_entry *e = &in->entries[i];
        struct secure_word said;
        TRY(secure_word_decode(&said, e->word, e->n, TASK_AGREE, round->round, round->sites, why));
        memcpy(&tags[e->site], said.parts + (size_t)round->self * MASK_TAG_BYTES, MASK_TAG_BYTES);
        secure_word_free(&said);
    }
    TRY(masks(mask_site_reveal(round->mask, tags, reveals), why));
    for (unsigned i = 0; i < round->sites; i++) {
        seeds += reveals[i].share.at != 0 && reveals[i].survivor;
        lost += reveals[i].share.at != 0 && !reveals[i].survivor;
    }
    secure_reveals_put(reveals, round->sites, word->parts);
    sodium_memzero(reveals, sizeof reveals);
    snprintf(note, WHY_BYTES,
             "shares that open the sum of %u sites: of their own masks, and of the keys of %u "
             "sites that dropped out",
             seeds, lost);
    return DONE;
}

static struct result later_stage(struct vault *vault, struct secure_round *round,
                                 const struct message_task *order, const unsigned char *input,
                                 size_t n, struct secure_word *word, char *note, struct why *why)
{
    struct secure_input in;
    TRY(secure_input_decode(&in, input, n, order->kind, order->round, round->sites, why));
    struct result r = DONE;
    if (order->kind == TASK_SHARES)
        r = shares(vault, round, &in, word, note, why);
    else if (order->kind == TASK_AGREE)
        r = agree(round, &in, word, note, why);
    else
        r = reveal(round, &in, word, note, why);
    secure_input_free(&in);
    return r;
}

struct result secure_word(struct vault *vault, const struct ledger_study *study, uint32_t task,
                          const struct message_task *order, const unsigned char *input, size_t n,
                          unsigned char **ret_cipher, size_t *ret_n, struct why *why)
{
    unsigned sites = vault->room->plan.sites_count;
    char note[WHY_BYTES] = "";
    CLEANUP(secure_word_free)
    struct secure_word word = {.stage = order->kind,
                               .round = order->round,
                               .n = secure_parts_bytes(order->kind, sites)};
    word.parts = calloc(1, word.n);
    if (!word.parts)
        return failed(why, RESULT_SYSTEM, "no memory for a word of %zu bytes", word.n);
    if (order->kind == TASK_KEYS)
        TRY(keys(vault, study, task, order, input, n, &word, note, why));
    else
        TRY(later_stage(vault, find(vault, study->name), order, input, n, &word, note, why));
    struct secure_round *round = find(vault, study->name);
    if (order->kind == TASK_AGREE) {
        /* The list is on disk before anybody hears of it. */
        round->stages = task_stage(order->kind);
        TRY(secure_kept_write(vault, place_of(vault, round), why));
    }
    TRY(release_word(vault, study, task, order, &word, note, ret_cipher, ret_n, why));
    round->stages = task_stage(order->kind);
    if (order->kind == TASK_REVEAL)
        secure_over(vault, study->name); /* the outbox answers from now on */
    return DONE;
}

struct result secure_shares(struct vault *vault, const struct ledger_study *study,
                            const struct message_task *order, const unsigned char *input, size_t n,
                            struct why *why)
{
    struct secure_round *round = find(vault, study->name);
    struct secure_input in;
    TRY(secure_input_decode(&in, input, n, TASK_TRAIN, order->round, round->sites, why));
    struct result r = DONE;
    for (size_t i = 0; ok(r) && i < in.count; i++) {
        const struct secure_entry *e = &in.entries[i];
        struct secure_word said;
        r = secure_word_decode(&said, e->word, e->n, TASK_SHARES, order->round, round->sites, why);
        if (!ok(r))
            break;
        const struct mask_sealed *mine = (const struct mask_sealed *)said.parts + round->self;
        if (e->site != round->self)
            r = masks(mask_site_receive(round->mask, e->site, mine), why);
        round->present[e->site] = true;
        secure_word_free(&said);
    }
    secure_input_free(&in);
    return r;
}

const struct payload_model_set *secure_models(const struct vault *vault,
                                              const struct ledger_study *study)
{
    return &find(vault, study->name)->models;
}

struct result secure_mask(struct vault *vault, const struct ledger_study *study, uint64_t *values,
                          size_t d, struct why *why)
{
    struct secure_round *round = find(vault, study->name);
    TRY(masks(mask_site_mask(round->mask, round->present, values, d, SECURE_MODULUS_BITS), why));
    round->stages = task_stage(TASK_TRAIN);
    payload_model_set_free(&round->models);
    round->models = (struct payload_model_set){0};
    return secure_kept_write(vault, place_of(vault, round), why);
}
