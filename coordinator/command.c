/* SPDX-License-Identifier: Apache-2.0 */
/* Users' commands: one table of verbs, the roles that may say them, and what they answer. */
#include "coordinator/drive_inner.h"

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/report.h"
#include "coordinator/status.h"
#include "proto/base/log.h"
#include "proto/compress/codec.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_AT_ONCE = 500 };

/* One command under treatment. */
struct task_of_user {
    struct drive *drive;
    const struct drive_member *user;
    const struct message_command *command;
    const unsigned char *envelope;
    size_t envelope_n;
    uint64_t now_ms;
    json_t *arguments; /* NULL for launch */
    char study[PLAN_NAME_BYTES];
    /* the answer */
    char sentence[MESSAGE_REASON_BYTES];
    unsigned char *text;
    size_t text_n;
};

static bool may_change(const struct task_of_user *t, const struct running *running)
{
    return t->user->role == DRIVE_OPERATOR || strcmp(t->user->name, running->researcher) == 0;
}

static struct result check_sites(const struct task_of_user *t, const struct plan *plan,
                                 struct why *why)
{
    for (unsigned i = 0; i < plan->sites_count; i++) {
        struct drive_member site;
        const char *name = plan->sites[i].name;
        if (!t->drive->options.find(t->drive->options.context, name, &site) || site.revoked ||
            site.role != DRIVE_SITE)
            return failed(why, RESULT_REFUSED,
                          "'%s' is no site of this consortium; ask the operator to approve it, or "
                          "take it out of the plan",
                          name);
    }
    return DONE;
}

/* The rule is defined for the whole of the plan's sites, and fits the codec. */
static struct result check_rule(const struct plan *plan, struct why *why)
{
    struct agg_rule rule;
    struct codec codec;
    TRY(agg_rule_parse(plan->aggregation.rule, &rule, why));
    agg_rule_set_f(&rule, plan->aggregation.byzantine);
    enum agg_kind last = rule.stage[rule.stages - 1];
    bool mean = rule.stages == 1 && (last == AGG_MEAN || last == AGG_WEIGHTED_MEAN);
    agg_rule_free(&rule);
    TRY(codec_parse(plan->compression, &codec, why));
    return codec_allowed(&codec, plan->privacy.mode != PRIVACY_NONE, mean, why);
}

static struct result launch_plan(struct task_of_user *t, struct plan *plan, struct why *why)
{
    struct running *known = NULL;
    struct why none;
    if (ok(drive_load(t->drive, plan->study, &known, &none))) {
        if (memcmp(known->study.plan_hash, plan->hash, PLAN_HASH_BYTES) != 0)
            return failed(why, RESULT_REFUSED,
                          "there is a study '%s' with another plan; give the new plan another "
                          "study name",
                          plan->study);
        snprintf(t->sentence, sizeof t->sentence, "study '%s' is launched already (%s)",
                 plan->study, study_phase_name(known->study.phase));
        return DONE;
    }
    TRY(check_sites(t, plan, why));
    TRY(check_rule(plan, why));
    struct store_launch launch = {
        .researcher = t->user->name,
        .plan = t->command->text,
        .plan_n = t->command->text_n,
        .envelope = t->envelope,
        .envelope_n = t->envelope_n,
    };
    snprintf(t->sentence, sizeof t->sentence, "study '%s' is offered to %u sites", plan->study,
             plan->sites_count);
    return drive_launch(t->drive, plan, &launch, t->now_ms, why);
}

static struct result verb_launch(struct task_of_user *t, struct why *why)
{
    struct plan plan;
    if (t->envelope_n > sizeof t->drive->out->study_offer.launch)
        return failed(why, RESULT_INPUT, "the plan is too large to be sent to sites");
    TRY(plan_parse(&plan, "plan", (const char *)t->command->text, t->command->text_n, why));
    snprintf(t->study, sizeof t->study, "%s", plan.study);
    struct result r = launch_plan(t, &plan, why);
    plan_free(&plan);
    return r;
}

static struct result verb_status(struct task_of_user *t, struct why *why)
{
    struct status_list list = {0};
    char *text = NULL;
    size_t count = 0;
    char(*names)[PLAN_NAME_BYTES] = calloc(STORE_STUDIES_MAX, PLAN_NAME_BYTES);
    struct study *study = calloc(1, sizeof *study);
    struct result r = names && study ? store_names(t->drive->options.store, names, &count, why)
                                     : failed(why, RESULT_SYSTEM, "out of memory");
    for (size_t i = 0; ok(r) && i < count; i++) {
        struct store_bytes plan = {0};
        char researcher[PLAN_NAME_BYTES] = "";
        if (t->study[0] && strcmp(t->study, names[i]) != 0)
            continue;
        r = store_load(t->drive->options.store, names[i], study, why);
        if (ok(r))
            r = store_read_plan(t->drive->options.store, names[i], &plan, researcher, why);
        if (ok(r))
            status_add(&list, study, researcher);
        free(plan.bytes);
    }
    struct why ignored;
    struct result written = status_text(&list, &text, ok(r) ? why : &ignored);
    free(names);
    free(study);
    t->text = (unsigned char *)text;
    t->text_n = text ? strlen(text) : 0;
    return ok(r) ? written : r;
}

struct events {
    json_t *list;
    uint64_t last;
};

static bool add_event(void *context, const struct store_entry *entry)
{
    struct events *events = context;
    json_t *o = json_loadb((const char *)entry->entry, entry->n, 0, NULL);
    if (!o)
        o = json_object();
    json_object_set_new(o, "seq", json_integer((json_int_t)entry->seq));
    json_array_append_new(events->list, o);
    events->last = entry->seq;
    return json_array_size(events->list) < EVENTS_AT_ONCE;
}

static struct result verb_events(struct task_of_user *t, struct why *why)
{
    json_int_t since = json_integer_value(json_object_get(t->arguments, "since"));
    if (since < 0)
        return failed(why, RESULT_INPUT, "\"since\" is the number of an entry, from 0");
    struct events events = {.list = json_array(), .last = (uint64_t)since};
    struct result r = store_each_entry(t->drive->options.store, t->study[0] ? t->study : NULL,
                                       (uint64_t)since, add_event, &events, why);
    json_t *o = json_object();
    json_object_set_new(o, "events", events.list);
    json_object_set_new(o, "last", json_integer((json_int_t)events.last));
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(o);
    t->text = (unsigned char *)text;
    t->text_n = text ? strlen(text) : 0;
    return r;
}

static struct result verb_plan(struct task_of_user *t, struct why *why)
{
    char researcher[PLAN_NAME_BYTES];
    struct store_bytes plan = {0};
    struct result r = store_read_plan(t->drive->options.store, t->study, &plan, researcher, why);
    t->text = plan.bytes;
    t->text_n = plan.n;
    return r;
}

static struct result verb_model(struct task_of_user *t, struct why *why)
{
    struct running *running = NULL;
    struct store_bytes payload = {0};
    TRY(drive_load(t->drive, t->study, &running, why));
    const struct study *study = &running->study;
    struct result r =
        store_read_model(t->drive->options.store,
                         study->best_round > 0 ? study->best : study->model, &payload, why);
    t->text = payload.bytes;
    t->text_n = payload.n;
    return r;
}

static struct result verb_report(struct task_of_user *t, struct why *why)
{
    char *text = NULL;
    struct result r =
        report_text(t->drive->options.store, t->study, t->drive->options.sign_public, &text, why);
    t->text = (unsigned char *)text;
    t->text_n = text ? strlen(text) : 0;
    return r;
}

static struct result change(struct task_of_user *t, enum study_event_kind kind, struct why *why)
{
    struct running *running = NULL;
    char reason[MESSAGE_REASON_BYTES];
    TRY(drive_load(t->drive, t->study, &running, why));
    if (!may_change(t, running))
        return failed(why, RESULT_REFUSED, "study '%s' belongs to '%s'", t->study,
                      running->researcher);
    snprintf(reason, sizeof reason, "stopped by %s", t->user->name);
    struct study_event event = {.kind = kind, .now_ms = t->now_ms, .reason = reason};
    TRY(drive_step(t->drive, running, &event, NULL, why));
    snprintf(t->sentence, sizeof t->sentence, "study '%s' is %s", t->study,
             study_phase_name(running->study.phase));
    return DONE;
}

static struct result verb_stop(struct task_of_user *t, struct why *why)
{
    return change(t, STUDY_EVENT_STOP, why);
}

static struct result verb_resume(struct task_of_user *t, struct why *why)
{
    return change(t, STUDY_EVENT_RESUME, why);
}

static const struct verb {
    const char *name;
    struct result (*run)(struct task_of_user *t, struct why *why);
    bool needs_study;
    bool changes; /* not for auditors */
} VERBS[] = {
    {"launch", verb_launch, false, true},  {"status", verb_status, false, false},
    {"events", verb_events, false, false}, {"report", verb_report, true, false},
    {"model", verb_model, true, false},    {"plan", verb_plan, true, false},
    {"stop", verb_stop, true, true},       {"resume", verb_resume, true, true},
};

static struct result read_arguments(struct task_of_user *t, const struct verb *verb,
                                    struct why *why)
{
    if (verb->run == verb_launch)
        return DONE;
    t->arguments = json_loadb((const char *)t->command->text, t->command->text_n, 0, NULL);
    if (!json_is_object(t->arguments))
        return failed(why, RESULT_INPUT, "the command's arguments are no JSON object");
    const char *study = json_string_value(json_object_get(t->arguments, "study"));
    if (study && strlen(study) >= sizeof t->study)
        return failed(why, RESULT_INPUT, "the study's name is too long");
    if (study)
        snprintf(t->study, sizeof t->study, "%s", study);
    if (verb->needs_study && !t->study[0])
        return failed(why, RESULT_INPUT, "name the study");
    return DONE;
}

static struct result run_verb(struct task_of_user *t, struct why *why)
{
    for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
        if (strcmp(VERBS[i].name, t->command->verb) != 0)
            continue;
        if (VERBS[i].changes && t->user->role == DRIVE_AUDITOR)
            return failed(why, RESULT_REFUSED, "an auditor may not '%s'", t->command->verb);
        TRY(read_arguments(t, &VERBS[i], why));
        return VERBS[i].run(t, why);
    }
    return failed(why, RESULT_INPUT, "this coordinator does not know the command '%s'",
                  t->command->verb);
}

static void reply(struct task_of_user *t, struct result r, const struct why *why)
{
    struct parcel *parcel = NULL;
    struct why sealing;
    bool has_text = ok(r) && t->text;
    if (has_text) {
        struct result sealed = parcel_create(t->text, t->text_n, OBJECT_REPLY, &parcel, &sealing);
        if (!ok(sealed)) {
            r = sealed;
            why = &sealing;
        }
    }
    struct message *message = drive_compose(t->drive, MESSAGE_REPLY, "", 0);
    memcpy(message->reply.id, t->command->id, SESSION_ID_BYTES);
    message->reply.exit_code = ok(r)                      ? 0
                               : r.code == RESULT_INPUT   ? 2
                               : r.code == RESULT_REFUSED ? 1
                                                          : 3;
    snprintf(message->reply.sentence, sizeof message->reply.sentence, "%s",
             ok(r) ? t->sentence : why->text);
    message->reply.in_object = parcel != NULL;
    drive_post(t->drive, t->user->name, t->now_ms);
    if (parcel)
        drive_send_parcel(t->drive, parcel, t->user->name, "", 0, NULL, t->command->id, t->now_ms);
    parcel_release(parcel);
}

void drive_command(struct drive *drive, const struct drive_member *user,
                   const unsigned char *envelope, size_t envelope_n, uint64_t now_ms)
{
    struct task_of_user t = {
        .drive = drive,
        .user = user,
        .command = &drive->in->command,
        .envelope = envelope,
        .envelope_n = envelope_n,
        .now_ms = now_ms,
    };
    struct why why = {.text = ""};
    struct result r = run_verb(&t, &why);
    if (!ok(r))
        log_warning("%s: %s: %s", user->name, t.command->verb, why.text);
    reply(&t, r, &why);
    json_decref(t.arguments);
    free(t.text);
}
