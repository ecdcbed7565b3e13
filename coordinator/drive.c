/* SPDX-License-Identifier: Apache-2.0 */
/* Steps: the engine decides, one transaction stores the state with its audit entries, and only
 * then are effects sent. A failed write puts the study back as if the event had not come. */
#include "coordinator/drive_inner.h"

#include "coordinator/entry.h"
#include "coordinator/work_monitor.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/compress/codec.h"
#include "proto/plan_model.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct running *drive_find(struct drive *drive, const char *study)
{
    for (size_t i = 0; i < drive->studies_count; i++)
        if (strcmp(drive->studies[i]->study.name, study) == 0)
            return drive->studies[i];
    return NULL;
}

static struct result write_notes(struct drive *drive, const struct running *running,
                                 const struct step_extra *extra, uint64_t now_ms, struct why *why)
{
    struct entry_extra more = {
        .researcher = extra->by ? extra->by : running->researcher,
        .envelope = extra->envelope,
        .update = extra->update,
        .bytes = extra->object ? extra->object->cipher_bytes : 0,
        .detail = extra->detail,
    };
    for (size_t i = 0; i < drive->effects->count; i++) {
        const struct effect *effect = &drive->effects->list[i];
        if (effect->kind != EFFECT_NOTE)
            continue;
        const char *who = extra->by ? extra->by
                          : effect->site < running->study.members_count
                              ? running->study.members[effect->site].name
                              : running->researcher;
        struct drive_member member;
        bool known = drive->options.find(drive->options.context, who, &member);
        more.sign_key = known ? member.sign_public : NULL;
        char *text = NULL;
        TRY(entry_text(&running->study, effect, now_ms, &more, &text, why));
        struct result r = store_log(drive->options.store, now_ms, running->study.name,
                                    note_name(effect->note), text, strlen(text), why);
        free(text);
        TRY(r);
    }
    return DONE;
}

static struct result write_peers(struct drive *drive, struct why *why)
{
    for (size_t i = 0; i < drive->peers_count; i++)
        if (drive->peers[i]->changed)
            TRY(store_put_member(drive->options.store, drive->peers[i]->name,
                                 &drive->peers[i]->record, why));
    return DONE;
}

static struct result write_step(struct drive *drive, const struct running *running,
                                const struct step_extra *extra, uint64_t now_ms, struct why *why)
{
    struct store *store = drive->options.store;
    const struct study *study = &running->study;
    if (extra->launch)
        TRY(store_launch(store, study, extra->launch, why));
    if (extra->object)
        TRY(store_put_object(store, study->name, extra->object, why));
    if (extra->write)
        TRY(extra->write(store, study, extra->context, why));
    TRY(store_study(store, drive->before, study, why));
    TRY(write_peers(drive, why));
    return write_notes(drive, running, extra, now_ms, why);
}

static struct result transact(struct drive *drive, const struct running *running,
                              const struct step_extra *extra, uint64_t now_ms, struct why *why)
{
    struct store *store = drive->options.store;
    TRY(store_begin(store, why));
    struct result r = write_step(drive, running, extra, now_ms, why);
    if (ok(r))
        r = store_commit(store, why);
    if (!ok(r)) {
        store_rollback(store);
        return r;
    }
    for (size_t i = 0; i < drive->peers_count; i++)
        drive->peers[i]->changed = false;
    return DONE;
}

static void tell_humans(const struct running *running, const struct effect *effect)
{
    const struct study *study = &running->study;
    const struct round *task = study_task(study, effect->task);
    const char *site = effect->site < study->members_count ? study->members[effect->site].name : "";
    const char *reason = "";
    if (effect->site < study->members_count && task)
        reason = task->sites[effect->site].reason;
    else if (effect->note == NOTE_TASK_ABORTED && task)
        reason = task->reason;
    else if (effect->site >= study->members_count)
        reason = study->reason;
    if (effect->site < study->members_count && effect->note == NOTE_STUDY_REFUSED)
        reason = study->members[effect->site].reason;
    if (effect->note == NOTE_QUARANTINED || effect->note == NOTE_RELEASED)
        reason = study->members[effect->site].quarantine;
    log_info("study %s task %u: %s%s%s%s%s", study->name, effect->task, note_name(effect->note),
             site[0] ? " " : "", site, reason[0] ? ": " : "", reason);
}

static void forget_closed(struct drive *drive, struct running *running, uint64_t now_ms)
{
    const struct study *study = &running->study;
    uint32_t over = study_task_open(study) ? study->task.task - 1 : study->task.task;
    if (over > 0)
        exchange_forget(&drive->exchange, study->name, over, now_ms);
    if (running->parcel_task <= over)
        drive_release_parcels(running);
}

static void carry_out(struct drive *drive, struct running *running, uint64_t now_ms)
{
    for (size_t i = 0; i < drive->effects->count; i++) {
        const struct effect *effect = &drive->effects->list[i];
        switch (effect->kind) {
        case EFFECT_STORE:
        case EFFECT_ACCEPTED: /* whoever delivered it knows the object */
            break;
        case EFFECT_NOTE:
            tell_humans(running, effect);
            break;
        case EFFECT_OFFER:
            drive_send_offer(drive, running, effect->site, now_ms);
            break;
        case EFFECT_TASK:
            drive_send_task(drive, running, effect->site, now_ms);
            break;
        case EFFECT_CLOSED:
            drive_send_closed(drive, running, effect->site, now_ms);
            drive_send_head(drive, running->study.members[effect->site].name, now_ms);
            break;
        case EFFECT_AGGREGATE:
            running->work = WORK_AGGREGATE;
            break;
        case EFFECT_POOL:
            running->work = WORK_POOL;
            break;
        case EFFECT_RELAY:
            running->work = WORK_RELAY;
            break;
        }
    }
}

struct result drive_step(struct drive *drive, struct running *running,
                         const struct study_event *event, const struct step_extra *extra,
                         struct why *why)
{
    static const struct step_extra NOTHING = {0};
    if (!extra)
        extra = &NOTHING;
    *drive->before = running->study;
    TRY(study_step(&running->study, event, drive->effects, why));
    bool changed = drive->effects->count > 0 && drive->effects->list[0].kind == EFFECT_STORE;
    if (changed) {
        struct result r = transact(drive, running, extra, event->now_ms, why);
        if (!ok(r)) {
            running->study = *drive->before;
            drive->effects->count = 0;
            drive->backoff_until_ms = event->now_ms + DRIVE_BACKOFF_MS;
            log_error("study %s: the step could not be stored and did not happen: %s",
                      running->study.name, why ? why->text : "");
            return r;
        }
        forget_closed(drive, running, event->now_ms);
    }
    carry_out(drive, running, event->now_ms);
    return DONE;
}

static void free_running(struct running *running)
{
    plan_free(&running->plan);
    drive_release_parcels(running);
    free(running);
}

/* Sizes that follow from the plan. */
static struct result measure(struct running *running, struct why *why)
{
    struct model model;
    struct codec codec;
    TRY(plan_build_model(&running->plan, &model, why));
    TRY(codec_parse(running->plan.compression, &codec, why));
    running->parameters = model.parameters;
    struct codec used = codec_for(&codec, model.parameters);
    running->update_max = codec_frame_bytes(&used, model.parameters) + 1024;
    if (running->plan.aggregation.secure)
        running->update_max = model.parameters * sizeof(uint64_t) + 1024;
    return DONE;
}

static void forget_study(struct drive *drive, struct running *running)
{
    for (size_t i = 0; i < drive->studies_count; i++)
        if (drive->studies[i] == running)
            drive->studies[i] = drive->studies[--drive->studies_count];
    free_running(running);
}

/* Room for one more study: one that is over gives way. */
static struct result make_room(struct drive *drive, struct why *why)
{
    if (drive->studies_count < DRIVE_STUDIES_MAX)
        return DONE;
    for (size_t i = 0; i < drive->studies_count; i++) {
        if (study_active(&drive->studies[i]->study))
            continue;
        forget_study(drive, drive->studies[i]);
        return DONE;
    }
    return failed(why, RESULT_AGAIN, "%d studies are under way already", DRIVE_STUDIES_MAX);
}

struct result drive_load(struct drive *drive, const char *study, struct running **ret_running,
                         struct why *why)
{
    *ret_running = drive_find(drive, study);
    if (*ret_running)
        return DONE;
    TRY(make_room(drive, why));
    struct running *running = calloc(1, sizeof *running);
    struct store_bytes plan = {0};
    if (!running)
        return failed(why, RESULT_SYSTEM, "out of memory for study '%s'", study);
    struct result r = store_load(drive->options.store, study, &running->study, why);
    if (ok(r))
        r = store_read_plan(drive->options.store, study, &plan, running->researcher, why);
    if (ok(r))
        r = plan_parse(&running->plan, study, (const char *)plan.bytes, plan.n, why);
    if (ok(r))
        r = measure(running, why);
    free(plan.bytes);
    if (!ok(r)) {
        free_running(running);
        return r;
    }
    drive->studies[drive->studies_count++] = running;
    *ret_running = running;
    return DONE;
}

struct first_model {
    const struct server *server;
    unsigned char *bytes;
    size_t n;
    unsigned char hash[PLAN_HASH_BYTES];
};

static struct result write_first_model(struct store *store, const struct study *study,
                                       void *context, struct why *why)
{
    const struct first_model *first = context;
    unsigned char *state = NULL;
    size_t n = 0;
    TRY(store_put_model(store, study->name, 0, first->hash, first->bytes, first->n, why));
    TRY(server_encode(first->server, &state, &n, why));
    struct result r = store_put_server(store, study->name, 0, state, n, why);
    free(state);
    return r;
}

static struct result launch_with(struct drive *drive, struct running *running,
                                 const struct store_launch *launch, uint64_t now_ms,
                                 struct why *why)
{
    struct server server = {0};
    struct first_model first = {.server = &server};
    TRY(server_initial(&running->plan, &server, why));
    struct result r =
        server_model(0, server.parameters, server.d, &first.bytes, &first.n, first.hash, why);
    struct study_event event = {.kind = STUDY_EVENT_LAUNCH,
                                .now_ms = now_ms,
                                .plan = &running->plan,
                                .model = first.hash};
    struct step_extra extra = {.launch = launch, .write = write_first_model, .context = &first};
    if (ok(r))
        r = drive_step(drive, running, &event, &extra, why);
    free(first.bytes);
    server_free(&server);
    return r;
}

struct result drive_launch(struct drive *drive, struct plan *plan,
                           const struct store_launch *launch, uint64_t now_ms, struct why *why)
{
    struct running *running = calloc(1, sizeof *running);
    if (!running) {
        plan_free(plan);
        return failed(why, RESULT_SYSTEM, "out of memory for study '%s'", plan->study);
    }
    running->plan = *plan;
    memset(plan, 0, sizeof *plan);
    snprintf(running->researcher, sizeof running->researcher, "%s", launch->researcher);
    struct result r = make_room(drive, why);
    if (ok(r))
        r = measure(running, why);
    if (ok(r))
        r = launch_with(drive, running, launch, now_ms, why);
    if (!ok(r)) {
        free_running(running);
        return r;
    }
    drive->studies[drive->studies_count++] = running;
    return DONE;
}

static void step_and_log(struct drive *drive, struct running *running,
                         const struct study_event *event)
{
    struct why why;
    struct result r = drive_step(drive, running, event, NULL, &why);
    if (!ok(r) && r.code != RESULT_SYSTEM)
        log_warning("study %s: %s", running->study.name, why.text);
}

static struct result load_active(struct drive *drive, uint64_t now_ms, struct why *why)
{
    size_t count = 0;
    char(*names)[PLAN_NAME_BYTES] = calloc(STORE_STUDIES_MAX, PLAN_NAME_BYTES);
    if (!names)
        return failed(why, RESULT_SYSTEM, "out of memory");
    struct result r = store_names(drive->options.store, names, &count, why);
    for (size_t i = 0; ok(r) && i < count; i++) {
        struct running *running = NULL;
        struct why reason;
        /* One damaged study must not keep the others from going on. */
        if (!ok(drive_load(drive, names[i], &running, &reason)))
            log_error("study %s is left alone: %s", names[i], reason.text);
        else if (study_active(&running->study))
            step_and_log(drive, running,
                         &(struct study_event){.kind = STUDY_EVENT_RESTART, .now_ms = now_ms});
        else
            forget_study(drive, running);
    }
    free(names);
    return r;
}

struct result drive_open(const struct drive_options *options, uint64_t now_ms,
                         struct drive **ret_drive, struct why *why)
{
    *ret_drive = NULL;
    struct drive *drive = calloc(1, sizeof *drive);
    if (!drive)
        return failed(why, RESULT_SYSTEM, "out of memory");
    drive->options = *options;
    drive->in = calloc(1, sizeof *drive->in);
    drive->out = calloc(1, sizeof *drive->out);
    drive->before = calloc(1, sizeof *drive->before);
    drive->effects = calloc(1, sizeof *drive->effects);
    randombytes_buf(drive->session, sizeof drive->session);
    struct result r = DONE;
    if (!drive->in || !drive->out || !drive->before || !drive->effects)
        r = failed(why, RESULT_SYSTEM, "out of memory");
    if (ok(r))
        r = load_active(drive, now_ms, why);
    if (!ok(r)) {
        drive_close(drive);
        return r;
    }
    drive_roster_changed(drive, now_ms);
    monitor_schedule(drive);
    *ret_drive = drive;
    return DONE;
}

void drive_close(struct drive *drive)
{
    if (!drive)
        return;
    for (size_t i = 0; i < drive->studies_count; i++)
        free_running(drive->studies[i]);
    for (size_t i = 0; i < drive->peers_count; i++)
        free(drive->peers[i]);
    exchange_free(&drive->exchange);
    outbox_free(&drive->outbox);
    merkle_log_free(&drive->tree);
    free(drive->in);
    free(drive->out);
    free(drive->before);
    free(drive->effects);
    free(drive);
}

void drive_timer(struct drive *drive, uint64_t now_ms)
{
    if (now_ms < drive->backoff_until_ms)
        return;
    for (size_t i = 0; i < drive->studies_count; i++) {
        struct running *running = drive->studies[i];
        if (study_wake(&running->study) <= now_ms)
            step_and_log(drive, running,
                         &(struct study_event){.kind = STUDY_EVENT_TIMER, .now_ms = now_ms});
    }
    monitor_tick(drive, now_ms);
    if (exchange_wake(&drive->exchange) <= now_ms)
        exchange_tick(&drive->exchange, now_ms);
}

uint64_t drive_wake(const struct drive *drive)
{
    uint64_t wake = exchange_wake(&drive->exchange);
    wake = drive->monitors_due_ms < wake ? drive->monitors_due_ms : wake;
    for (size_t i = 0; i < drive->studies_count; i++) {
        uint64_t due = study_wake(&drive->studies[i]->study);
        if (drive->studies[i]->work != WORK_NONE)
            due = 0;
        wake = due < wake ? due : wake;
    }
    return wake < drive->backoff_until_ms ? drive->backoff_until_ms : wake;
}

void drive_roster_changed(struct drive *drive, uint64_t now_ms)
{
    for (size_t i = 0; i < drive->studies_count; i++) {
        struct running *running = drive->studies[i];
        for (uint32_t site = 0; site < running->study.members_count; site++) {
            struct drive_member member;
            const char *name = running->study.members[site].name;
            bool known = drive->options.find(drive->options.context, name, &member);
            if (study_active(&running->study) && (!known || member.revoked))
                step_and_log(drive, running,
                             &(struct study_event){.kind = STUDY_EVENT_REVOKED,
                                                   .site = site,
                                                   .now_ms = now_ms});
        }
    }
}

void drive_count(const struct drive *drive, size_t *ret_studies, size_t *ret_active)
{
    *ret_studies = drive->studies_count;
    *ret_active = 0;
    for (size_t i = 0; i < drive->studies_count; i++)
        *ret_active += study_active(&drive->studies[i]->study);
}

/* One thread does everything: what takes long keeps the others waiting, and the log says so. */
static void tell_slow(const char *what, const char *of, uint64_t since_ms)
{
    uint64_t took_ms = clock_monotonic_ms() - since_ms;
    if (took_ms >= DRIVE_SLOW_MS)
        log_warning("%s%s%s took %.1f s; sites and users who asked meanwhile waited", what,
                    of[0] ? " " : "", of, (double)took_ms / 1000);
}

static void take_packet(struct drive *drive, struct link_event *event, uint64_t now_ms)
{
    uint64_t since_ms = clock_monotonic_ms();
    drive_packet(drive, event->topic, event->payload, event->payload_n, now_ms);
    tell_slow("a message from", event->topic, since_ms);
    free(event->payload);
}

static void take_event(struct drive *drive, struct link_event *event, uint64_t now_ms)
{
    switch (event->kind) {
    case LINK_CONNECTED:
        drive->connected = true;
        log_info("connected to the broker");
        break;
    case LINK_DISCONNECTED:
        drive->connected = false;
        log_warning("no connection to the broker: %s", event->reason);
        break;
    case LINK_REFUSED:
        log_warning("the broker refused: %s", event->reason);
        break;
    case LINK_PACKET:
        take_packet(drive, event, now_ms);
        break;
    }
}

void drive_run(struct drive *drive, uint64_t now_ms)
{
    struct link_event event;
    drive->answered_count = 0;
    while (drive->options.link->operations->next(drive->options.link, &event))
        take_event(drive, &event, now_ms);
    for (size_t i = 0; i < drive->studies_count && now_ms >= drive->backoff_until_ms; i++) {
        if (drive->studies[i]->work == WORK_NONE)
            continue;
        drive_flush(drive, now_ms); /* nobody waits for an answer while the model is computed */
        uint64_t since_ms = clock_monotonic_ms();
        drive_work(drive, drive->studies[i], now_ms);
        tell_slow("computing for study", drive->studies[i]->study.name, since_ms);
    }
    drive_flush(drive, now_ms);
}
