/* SPDX-License-Identifier: Apache-2.0 */
/* Secure rounds as work of the drive. Everything comes from the store, so a restart in the middle
 * makes the same again. */
#include "coordinator/work_secure.h"

#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A counted site's word, as it came, and the key that the roster has for it. AGREE is told who
 * delivered only. */
static struct result make_entry(struct drive *drive, const struct study *study, uint32_t site,
                                struct secure_entry *entry, struct why *why)
{
    struct drive_member member;
    struct store_bytes payload = {0};
    entry->site = site;
    if (drive->options.find(drive->options.context, study->members[site].name, &member))
        memcpy(entry->sign_key, member.sign_public, sizeof entry->sign_key);
    if (study->task.kind == TASK_TRAIN)
        return DONE;
    TRY(store_read_object(drive->options.store, study->name, study->task.task, site, &payload,
                          why));
    entry->word = payload.bytes;
    entry->n = payload.n;
    return DONE;
}

static struct result make_input(struct drive *drive, const struct study *study,
                                unsigned char **ret_bytes, size_t *ret_n, struct why *why)
{
    CLEANUP(secure_input_free)
    struct secure_input input = {
        .stage = task_of_stage(task_stage(study->task.kind) + 1),
        .round = study->task.round,
        .entries = calloc(study->members_count + 1, sizeof *input.entries),
    };
    if (!input.entries)
        return failed(why, RESULT_SYSTEM, "out of memory for the input of a secure round");
    for (uint32_t i = 0; i < study->task.sites_count; i++)
        if (study->task.sites[i].standing == STANDING_COUNTED)
            TRY(make_entry(drive, study, i, &input.entries[input.count++], why));
    return secure_input_encode(&input, ret_bytes, ret_n, why);
}

struct made_input {
    unsigned char *bytes;
    size_t n;
    unsigned char hash[PLAN_HASH_BYTES];
};

static struct result write_input(struct store *store, const struct study *study, void *context,
                                 struct why *why)
{
    const struct made_input *made = context;
    return store_put_model(store, study->name, study->task.round, made->hash, made->bytes, made->n,
                           why);
}

struct result secure_relay(struct drive *drive, struct running *running, uint64_t now_ms,
                           struct why *why)
{
    struct made_input made = {0};
    TRY(make_input(drive, &running->study, &made.bytes, &made.n, why));
    crypto_generichash(made.hash, sizeof made.hash, made.bytes, made.n, NULL, 0);
    struct study_event event = {.kind = STUDY_EVENT_RELAYED,
                                .now_ms = now_ms,
                                .task = running->study.task.task,
                                .input = made.hash};
    struct step_extra extra = {.write = write_input, .context = &made};
    struct result r = drive_step(drive, running, &event, &extra, why);
    free(made.bytes);
    return r;
}

/* The stages' tasks follow each other, but REVEAL may have been asked more than once: the last one
 * counts. */
static struct result read_words(struct drive *drive, const struct running *running,
                                struct combine_words *words, struct why *why)
{
    const struct study *study = &running->study;
    for (uint32_t stage = 1; stage <= TASK_STAGES; stage++) {
        uint32_t task = stage == TASK_STAGES ? study->task.task : study->keys + stage - 1;
        for (uint32_t i = 0; i < study->members_count; i++) {
            struct store_bytes payload = {0};
            bool counted = stage == TASK_STAGES ? study->task.sites[i].standing == STANDING_COUNTED
                                                : study->members[i].stage >= stage;
            if (!counted)
                continue;
            TRY(store_read_object(drive->options.store, study->name, task, i, &payload, why));
            struct result r = combine_words_take(words, &running->plan, task_of_stage(stage), i,
                                                 payload.bytes, payload.n, why);
            free(payload.bytes);
            TRY(r);
        }
    }
    return DONE;
}

static void free_words(struct combine_words **words)
{
    if (*words)
        combine_words_free(*words);
    free(*words);
}

struct result secure_combine(struct drive *drive, const struct running *running,
                             struct server *server, struct combine_outcome *outcome,
                             struct why *why)
{
    const struct study *study = &running->study;
    CLEANUP(free_words) struct combine_words *words = calloc(1, sizeof *words);
    memset(outcome, 0, sizeof *outcome);
    if (!words)
        return failed(why, RESULT_SYSTEM, "out of memory for a secure round");
    const struct secure_scope scope = {.study = study->name,
                                       .plan_hash = study->plan_hash,
                                       .model_hash = study->model,
                                       .task = study->keys,
                                       .round = study->task.round};
    words->round = study->task.round;
    TRY(read_words(drive, running, words, why));
    return combine_secure(&running->plan, server, words, &scope, outcome, why);
}
