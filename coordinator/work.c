/* SPDX-License-Identifier: Apache-2.0 */
/* The work that effects ask for: a round's new model, an evaluation's pooled figures. Inputs come
 * from the store, so a restart in the middle computes the same again. */
#include "coordinator/drive_inner.h"

#include "coordinator/combine.h"
#include "coordinator/pooling.h"
#include "coordinator/work_gate.h"
#include "coordinator/work_secure.h"
#include "coordinator/work_validate.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct updates {
    size_t n;
    struct combine_update list[PLAN_SITES_MAX];
};

static void free_updates(struct updates **updates)
{
    if (!*updates)
        return;
    for (size_t i = 0; i < (*updates)->n; i++)
        payload_update_free(&(*updates)->list[i].update);
    free(*updates);
}

static struct result read_updates(struct drive *drive, const struct study *study,
                                  struct updates *updates, struct why *why)
{
    for (uint32_t site = 0; site < study->task.sites_count; site++) {
        enum round_standing standing = study->task.sites[site].standing;
        if (standing != STANDING_COUNTED && standing != STANDING_ASIDE)
            continue;
        struct store_bytes payload = {0};
        struct combine_update *update = &updates->list[updates->n];
        TRY(store_read_object(drive->options.store, study->name, study->task.task, site, &payload,
                              why));
        update->site = site;
        update->aside = standing == STANDING_ASIDE;
        memcpy(update->digest, study->task.sites[site].digest, PLAN_HASH_BYTES);
        memcpy(update->base, study->model, PLAN_HASH_BYTES); /* its offer was checked to say so */
        struct result r = payload_update_decode(&update->update, payload.bytes, payload.n, why);
        free(payload.bytes);
        TRY(r);
        updates->n++;
    }
    return DONE;
}

/* What a round leaves behind. */
struct made {
    struct server server;
    struct server start;
    unsigned char *model, *candidate, *evaluation, *state;
    size_t model_n, candidate_n, evaluation_n, state_n;
    unsigned char model_hash[PLAN_HASH_BYTES];
    unsigned char candidate_hash[PLAN_HASH_BYTES];
    unsigned char evaluation_hash[PLAN_HASH_BYTES];
    struct combine_outcome outcome;
    struct study_mark *marks;
    size_t marks_count;
    char *record, *incumbent;
    uint32_t task;
};

static void free_made(struct made *made)
{
    server_free(&made->server);
    server_free(&made->start);
    free(made->model);
    free(made->candidate);
    free(made->evaluation);
    free(made->state);
    free(made->record);
    free(made->marks);
    free(made->incumbent);
    combine_outcome_free(&made->outcome);
}

static struct result load_server(struct drive *drive, const struct study *study,
                                 struct server *server, struct why *why)
{
    struct store_bytes state = {0};
    uint32_t number = 0;
    TRY(store_read_server(drive->options.store, study->name, &number, &state, why));
    struct result r = server_decode(server, state.bytes, state.n, why);
    free(state.bytes);
    if (ok(r) && (number != study->round || server->round != study->round))
        r = failed(why, RESULT_INPUT, "study '%s': the server's state is of round %u, not %u",
                   study->name, server->round, study->round);
    return r;
}

static struct result make_record(const struct study *study, struct made *made, struct why *why)
{
    json_t *record = NULL;
    TRY(combine_record(study, &made->outcome, &record, why));
    made->record = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(record);
    return made->record ? combine_marks(&made->outcome, &made->marks, &made->marks_count, why)
                        : failed(why, RESULT_SYSTEM, "out of memory");
}

/* The last round's set also holds the model in use, so that each site compares the two on the same
 * patients. */
static struct result add_incumbent(struct drive *drive, const struct running *running,
                                   struct made *made, struct why *why)
{
    struct model_bytes set = {made->evaluation ? made->evaluation : made->candidate,
                              made->evaluation ? made->evaluation_n : made->candidate_n};
    struct model_bytes with = {0};
    TRY(gate_add_incumbent(drive, running, made->candidate_hash, &set, &with, &made->incumbent,
                           why));
    if (!with.bytes)
        return DONE;
    free(made->evaluation);
    made->evaluation = with.bytes;
    made->evaluation_n = with.n;
    crypto_generichash(made->evaluation_hash, PLAN_HASH_BYTES, with.bytes, with.n, NULL, 0);
    return DONE;
}

static struct result make_models(struct drive *drive, const struct running *running,
                                 const struct combine_case *round, struct made *made,
                                 struct why *why)
{
    const struct server *server = &made->server;
    CLEANUP(free_pointer) float *candidate = malloc(server->d * sizeof *candidate);
    if (!candidate)
        return failed(why, RESULT_SYSTEM, "out of memory for the model");
    server_candidate(server, candidate);
    TRY(server_model(server->round, server->parameters, server->d, &made->model, &made->model_n,
                     made->model_hash, why));
    TRY(server_model(server->round, candidate, server->d, &made->candidate, &made->candidate_n,
                     made->candidate_hash, why));
    memcpy(made->evaluation_hash, made->candidate_hash, PLAN_HASH_BYTES);
    if (running->plan.validation.matrix && server->round == running->study.rounds)
        TRY(combine_matrix(round, &made->start, server, &made->evaluation, &made->evaluation_n,
                           made->evaluation_hash, why));
    if (server->round == running->study.rounds)
        TRY(add_incumbent(drive, running, made, why));
    return server_encode(server, &made->state, &made->state_n, why);
}

/* One thread for each core unless the options say otherwise: the bits are the same. */
static unsigned threads_of(const struct drive *drive)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return drive->options.threads ? drive->options.threads : cores > 0 ? (unsigned)cores : 1;
}

static struct result make_round(struct drive *drive, struct running *running, struct made *made,
                                struct why *why)
{
    CLEANUP(free_updates) struct updates *updates = calloc(1, sizeof *updates);
    if (!updates)
        return failed(why, RESULT_SYSTEM, "out of memory");
    TRY(load_server(drive, &running->study, &made->server, why));
    TRY(server_copy(&made->start, &made->server, why));
    if (!running->noise_known)
        TRY(combine_noise_multiplier(&running->plan, &running->noise, why));
    running->noise_known = true;
    struct combine_case round = {
        .plan = &running->plan,
        .noise_multiplier = running->noise,
        .base = running->study.model,
        .malformed = round_tally(&running->study.task, STANDING_REFUSED),
        .threads = threads_of(drive),
    };
    if (running->plan.aggregation.secure) {
        TRY(secure_combine(drive, running, &made->server, &made->outcome, why));
    } else {
        TRY(read_updates(drive, &running->study, updates, why));
        round.updates = updates->list;
        round.n = updates->n;
        TRY(combine_round(&round, &made->server, &made->outcome, why));
    }
    TRY(make_record(&running->study, made, why));
    return make_models(drive, running, &round, made, why);
}

static struct result write_made(struct store *store, const struct study *study, void *context,
                                struct why *why)
{
    const struct made *made = context;
    uint32_t number = made->server.round;
    TRY(store_put_model(store, study->name, number, made->model_hash, made->model, made->model_n,
                        why));
    TRY(store_put_model(store, study->name, number, made->candidate_hash, made->candidate,
                        made->candidate_n, why));
    if (made->evaluation)
        TRY(store_put_model(store, study->name, number, made->evaluation_hash, made->evaluation,
                            made->evaluation_n, why));
    TRY(store_put_server(store, study->name, number, made->state, made->state_n, why));
    if (made->incumbent)
        TRY(store_put_record(store, study->name, made->task, GATE_INCUMBENT_RECORD, made->incumbent,
                             why));
    return store_put_record(store, study->name, made->task, "aggregate", made->record, why);
}

static struct result aggregate(struct drive *drive, struct running *running, uint64_t now_ms,
                               struct why *why)
{
    CLEANUP(free_made) struct made made = {.task = running->study.task.task};
    struct why reason;
    struct result r = make_round(drive, running, &made, &reason);
    struct study_event event = {
        .kind = STUDY_EVENT_AGGREGATED,
        .now_ms = now_ms,
        .task = made.task,
        .refusals = made.outcome.refusals,
        .refusals_count = made.outcome.refusals_count,
        .marks = made.marks,
        .marks_count = made.marks_count,
        .reason = reason.text,
    };
    if (r.code == RESULT_REFUSED || r.code == RESULT_INPUT)
        return drive_step(drive, running, &event, NULL, why);
    if (!ok(r))
        return failed(why, r.code, "%s", reason.text);
    event.model = made.model_hash;
    event.candidate = made.candidate_hash;
    event.evaluation = made.evaluation_hash;
    struct step_extra extra = {.write = write_made, .context = &made, .detail = made.record};
    return drive_step(drive, running, &event, &extra, why);
}

struct evaluations {
    size_t n;
    struct pooling_input list[PLAN_SITES_MAX];
    char *record, *detail;
    struct gated gated;
    uint32_t task;
};

static void free_evaluations(struct evaluations **evaluations)
{
    if (!*evaluations)
        return;
    for (size_t i = 0; i < (*evaluations)->n; i++)
        payload_evaluation_free(&(*evaluations)->list[i].evaluation);
    free((*evaluations)->record);
    free((*evaluations)->detail);
    gated_free(&(*evaluations)->gated);
    free(*evaluations);
}

static struct result read_evaluations(struct drive *drive, const struct study *study,
                                      struct evaluations *evaluations, struct why *why)
{
    for (uint32_t site = 0; site < study->task.sites_count; site++) {
        if (study->task.sites[site].standing != STANDING_COUNTED)
            continue;
        struct store_bytes payload = {0};
        struct pooling_input *input = &evaluations->list[evaluations->n];
        TRY(store_read_object(drive->options.store, study->name, study->task.task, site, &payload,
                              why));
        input->site = site;
        struct result r =
            payload_evaluation_decode(&input->evaluation, payload.bytes, payload.n, why);
        free(payload.bytes);
        TRY(r);
        evaluations->n++;
    }
    return DONE;
}

static struct result write_pooled(struct store *store, const struct study *study, void *context,
                                  struct why *why)
{
    const struct evaluations *evaluations = context;
    TRY(store_put_record(store, study->name, evaluations->task, "pooled", evaluations->record,
                         why));
    return gate_write(store, study, &evaluations->gated, why);
}

static struct result pool(struct drive *drive, struct running *running, uint64_t now_ms,
                          struct why *why)
{
    CLEANUP(free_evaluations) struct evaluations *evaluations = calloc(1, sizeof *evaluations);
    struct pooling pooling;
    if (!evaluations)
        return failed(why, RESULT_SYSTEM, "out of memory");
    evaluations->task = running->study.task.task;
    TRY(read_evaluations(drive, &running->study, evaluations, why));
    pooling_compute(&running->study, evaluations->list, evaluations->n, &pooling);
    TRY(pooling_record(&running->study, evaluations->list, evaluations->n, &pooling,
                       &evaluations->record, &evaluations->detail, why));
    if (running->study.round >= running->study.rounds)
        TRY(gate_judge(drive, running, evaluations->list, evaluations->n, now_ms,
                       &evaluations->gated, why));
    struct study_event event = {
        .kind = STUDY_EVENT_POOLED,
        .now_ms = now_ms,
        .task = evaluations->task,
        .score = pooling.score,
    };
    struct step_extra extra = {.write = write_pooled,
                               .context = evaluations,
                               .detail = evaluations->detail};
    return drive_step(drive, running, &event, &extra, why);
}

void drive_work(struct drive *drive, struct running *running, uint64_t now_ms)
{
    struct why why;
    enum work work = running->work;
    running->work = WORK_NONE;
    struct result r = DONE;
    if (work == WORK_AGGREGATE)
        r = aggregate(drive, running, now_ms, &why);
    else if (work == WORK_RELAY)
        r = secure_relay(drive, running, now_ms, &why);
    else if (running->study.phase == STUDY_CONFIRMING)
        r = validate_pool(drive, running, now_ms, &why);
    else
        r = pool(drive, running, now_ms, &why);
    if (ok(r))
        return;
    log_error("study %s: %s", running->study.name, why.text);
    if (r.code == RESULT_SYSTEM) { /* disk or memory may come back */
        running->work = work;
        drive->backoff_until_ms = now_ms + DRIVE_BACKOFF_MS;
    }
}
