/* SPDX-License-Identifier: Apache-2.0 */
/* Users' commands: one table of verbs, the roles that may say them, and what they answer. */
#include "coordinator/command_inner.h"

#include "coordinator/aggregate/aggregate.h"
#include "coordinator/forecast.h"
#include "coordinator/incident_json.h"
#include "coordinator/report.h"
#include "coordinator/status.h"
#include "proto/base/log.h"
#include "proto/compress/codec.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_AT_ONCE = 500 };

struct result command_answer(struct user_command *c, json_t *value, struct why *why)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(value);
    if (!text)
        return failed(why, RESULT_SYSTEM, "out of memory for the answer");
    c->text = (unsigned char *)text;
    c->text_n = strlen(text);
    return DONE;
}

struct result command_since(const struct user_command *c, uint64_t *ret_since, struct why *why)
{
    json_int_t since = json_integer_value(json_object_get(c->arguments, "since"));
    if (since < 0)
        return failed(why, RESULT_INPUT, "\"since\" is the number of an entry, from 0");
    *ret_since = (uint64_t)since;
    return DONE;
}

static bool may_change(const struct user_command *c, const struct running *running)
{
    return c->user->role == DRIVE_OPERATOR || strcmp(c->user->name, running->researcher) == 0;
}

static struct result check_sites(const struct user_command *c, const struct plan *plan,
                                 struct why *why)
{
    for (unsigned i = 0; i < plan->sites_count; i++) {
        struct drive_member site;
        const char *name = plan->sites[i].name;
        if (!c->drive->options.find(c->drive->options.context, name, &site) || site.revoked ||
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
    TRY(agg_rule_parse_study(plan->aggregation.rule, &rule, why));
    enum agg_kind last = rule.stage[rule.stages - 1];
    bool mean = rule.stages == 1 && (last == AGG_MEAN || last == AGG_WEIGHTED_MEAN);
    agg_rule_free(&rule);
    TRY(forecast_rule_holds(plan, plan->sites_count, why));
    TRY(codec_parse(plan->compression, &codec, why));
    return codec_allowed(&codec, plan->privacy.mode != PRIVACY_NONE, mean, why);
}

static struct result launch_plan(struct user_command *c, struct plan *plan, struct why *why)
{
    struct running *known = NULL;
    struct why none;
    if (ok(drive_load(c->drive, plan->study, &known, &none))) {
        if (memcmp(known->study.plan_hash, plan->hash, PLAN_HASH_BYTES) != 0)
            return failed(why, RESULT_REFUSED,
                          "there is a study '%s' with another plan; give the new plan another "
                          "study name",
                          plan->study);
        snprintf(c->sentence, sizeof c->sentence, "study '%s' is launched already (%s)",
                 plan->study, study_phase_name(known->study.phase));
        return DONE;
    }
    TRY(check_sites(c, plan, why));
    TRY(check_rule(plan, why));
    struct store_launch launch = {
        .researcher = c->user->name,
        .plan = c->command->text,
        .plan_n = c->command->text_n,
        .envelope = c->envelope,
        .envelope_n = c->envelope_n,
    };
    snprintf(c->sentence, sizeof c->sentence, "study '%s' is offered to %u sites", plan->study,
             plan->sites_count);
    return drive_launch(c->drive, plan, &launch, c->now_ms, why);
}

static struct result verb_launch(struct user_command *c, struct why *why)
{
    struct plan plan;
    if (c->envelope_n > sizeof c->drive->out->study_offer.launch)
        return failed(why, RESULT_INPUT, "the plan is too large to be sent to sites");
    TRY(plan_parse(&plan, "plan", (const char *)c->command->text, c->command->text_n, why));
    snprintf(c->study, sizeof c->study, "%s", plan.study);
    struct result r = launch_plan(c, &plan, why);
    plan_free(&plan);
    return r;
}

static struct result verb_status(struct user_command *c, struct why *why)
{
    struct status_list list = {0};
    char *text = NULL;
    size_t count = 0;
    char(*names)[PLAN_NAME_BYTES] = calloc(STORE_STUDIES_MAX, PLAN_NAME_BYTES);
    struct study *study = calloc(1, sizeof *study);
    struct result r = names && study ? store_names(c->drive->options.store, names, &count, why)
                                     : failed(why, RESULT_SYSTEM, "out of memory");
    for (size_t i = 0; ok(r) && i < count; i++) {
        struct store_bytes plan = {0};
        char researcher[PLAN_NAME_BYTES] = "";
        if (c->study[0] && strcmp(c->study, names[i]) != 0)
            continue;
        r = store_load(c->drive->options.store, names[i], study, why);
        if (ok(r))
            r = store_read_plan(c->drive->options.store, names[i], &plan, researcher, why);
        if (ok(r))
            status_add(&list, study, researcher);
        free(plan.bytes);
    }
    json_t *incidents = NULL;
    if (ok(r))
        r = incidents_open(c->drive->options.store, c->study[0] ? c->study : NULL, c->now_ms,
                           &incidents, why);
    list.incidents = incidents;
    struct why ignored;
    struct result written = status_text(&list, &text, ok(r) ? why : &ignored);
    free(names);
    free(study);
    c->text = (unsigned char *)text;
    c->text_n = text ? strlen(text) : 0;
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

static struct result verb_events(struct user_command *c, struct why *why)
{
    uint64_t since = 0;
    TRY(command_since(c, &since, why));
    struct events events = {.list = json_array(), .last = since};
    struct result r = store_each_entry(c->drive->options.store, c->study[0] ? c->study : NULL,
                                       since, add_event, &events, why);
    json_t *o = json_object();
    json_object_set_new(o, "events", events.list);
    json_object_set_new(o, "last", json_integer((json_int_t)events.last));
    if (!ok(r)) {
        json_decref(o);
        return r;
    }
    return command_answer(c, o, why);
}

static struct result verb_plan(struct user_command *c, struct why *why)
{
    char researcher[PLAN_NAME_BYTES];
    struct store_bytes plan = {0};
    struct result r = store_read_plan(c->drive->options.store, c->study, &plan, researcher, why);
    c->text = plan.bytes;
    c->text_n = plan.n;
    return r;
}

static struct result verb_model(struct user_command *c, struct why *why)
{
    struct running *running = NULL;
    struct store_bytes payload = {0};
    TRY(drive_load(c->drive, c->study, &running, why));
    const struct study *study = &running->study;
    struct result r =
        store_read_model(c->drive->options.store,
                         study->best_round > 0 ? study->best : study->model, &payload, why);
    c->text = payload.bytes;
    c->text_n = payload.n;
    return r;
}

static struct result verb_report(struct user_command *c, struct why *why)
{
    char *text = NULL;
    struct result r =
        report_text(c->drive->options.store, c->study, c->drive->options.sign_public, &text, why);
    c->text = (unsigned char *)text;
    c->text_n = text ? strlen(text) : 0;
    return r;
}

static struct result change(struct user_command *c, enum study_event_kind kind, struct why *why)
{
    struct running *running = NULL;
    char reason[MESSAGE_REASON_BYTES];
    TRY(drive_load(c->drive, c->study, &running, why));
    if (!may_change(c, running))
        return failed(why, RESULT_REFUSED, "study '%s' belongs to '%s'", c->study,
                      running->researcher);
    snprintf(reason, sizeof reason, "stopped by %s", c->user->name);
    struct study_event event = {.kind = kind, .now_ms = c->now_ms, .reason = reason};
    TRY(drive_step(c->drive, running, &event, NULL, why));
    snprintf(c->sentence, sizeof c->sentence, "study '%s' is %s", c->study,
             study_phase_name(running->study.phase));
    return DONE;
}

static struct result verb_stop(struct user_command *c, struct why *why)
{
    return change(c, STUDY_EVENT_STOP, why);
}

static struct result verb_resume(struct user_command *c, struct why *why)
{
    return change(c, STUDY_EVENT_RESUME, why);
}

/* Ends a quarantine. The operator's signed command goes into the log as it came. */
static struct result verb_release(struct user_command *c, struct why *why)
{
    struct running *running = NULL;
    char text[MESSAGE_REASON_BYTES];
    const char *site = json_string_value(json_object_get(c->arguments, "site"));
    const char *reason = json_string_value(json_object_get(c->arguments, "reason"));
    if (c->user->role != DRIVE_OPERATOR)
        return failed(why, RESULT_REFUSED, "only an operator may release a site");
    if (!site || !reason || !reason[0])
        return failed(why, RESULT_INPUT, "name the site, and the reason for its release");
    TRY(drive_load(c->drive, c->study, &running, why));
    uint32_t at = study_find(&running->study, site);
    if (at == running->study.members_count)
        return failed(why, RESULT_INPUT, "study '%s' has no site '%s'", c->study, site);
    char *hex = malloc(2 * c->envelope_n + 1);
    if (!hex)
        return failed(why, RESULT_SYSTEM, "out of memory");
    sodium_bin2hex(hex, 2 * c->envelope_n + 1, c->envelope, c->envelope_n);
    snprintf(text, sizeof text, "released by %s: %s", c->user->name, reason);
    struct study_event event = {.kind = STUDY_EVENT_RELEASED,
                                .now_ms = c->now_ms,
                                .site = at,
                                .reason = text};
    struct step_extra extra = {.by = c->user->name, .envelope = hex};
    struct result r = drive_step(c->drive, running, &event, &extra, why);
    free(hex);
    TRY(r);
    snprintf(c->sentence, sizeof c->sentence, "site '%s' counts again in study '%s'", site,
             c->study);
    return DONE;
}

static const struct verb {
    const char *name;
    struct result (*run)(struct user_command *c, struct why *why);
    bool needs_study;
    bool changes;  /* not for auditors */
    bool auditing; /* for auditors and operators only */
} VERBS[] = {
    {"launch", verb_launch, .changes = true},
    {"status", verb_status},
    {"events", verb_events},
    {"report", verb_report, .needs_study = true},
    {"model", verb_model, .needs_study = true},
    {"plan", verb_plan, .needs_study = true},
    {"stop", verb_stop, .needs_study = true, .changes = true},
    {"resume", verb_resume, .needs_study = true, .changes = true},
    {"release", verb_release, .needs_study = true, .changes = true},
    {"log", verb_log, .auditing = true},
    {"envelope", verb_envelope, .needs_study = true, .auditing = true},
    {"object", verb_object, .needs_study = true, .auditing = true},
    {"head", verb_head},
    {"witnesses", verb_witnesses},
    {"gate", verb_gate, .needs_study = true},
    {"look", verb_look, .needs_study = true, .changes = true},
    {"paper", verb_paper},
    {"papers", verb_papers},
    {"incidents", verb_incidents},
    {"incident", verb_incident},
    {"models", verb_models},
    {"stage", verb_stage},
    {"passport", verb_passport},
    {"validate", verb_validate, .changes = true},
    {"validations", verb_validations},
    {"monitor", verb_monitor, .changes = true},
    {"monitors", verb_monitors},
};

static struct result read_arguments(struct user_command *c, const struct verb *verb,
                                    struct why *why)
{
    if (verb->run == verb_launch)
        return DONE;
    c->arguments = json_loadb((const char *)c->command->text, c->command->text_n, 0, NULL);
    if (!json_is_object(c->arguments))
        return failed(why, RESULT_INPUT, "the command's arguments are no JSON object");
    const char *study = json_string_value(json_object_get(c->arguments, "study"));
    if (study && strlen(study) >= sizeof c->study)
        return failed(why, RESULT_INPUT, "the study's name is too long");
    if (study)
        snprintf(c->study, sizeof c->study, "%s", study);
    if (verb->needs_study && !c->study[0])
        return failed(why, RESULT_INPUT, "name the study");
    return DONE;
}

static struct result run_verb(struct user_command *c, struct why *why)
{
    for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
        if (strcmp(VERBS[i].name, c->command->verb) != 0)
            continue;
        if (VERBS[i].changes && c->user->role == DRIVE_AUDITOR)
            return failed(why, RESULT_REFUSED, "an auditor may not '%s'", c->command->verb);
        if (VERBS[i].auditing && c->user->role == DRIVE_RESEARCHER)
            return failed(why, RESULT_REFUSED, "only an auditor may '%s'", c->command->verb);
        TRY(read_arguments(c, &VERBS[i], why));
        return VERBS[i].run(c, why);
    }
    return failed(why, RESULT_INPUT, "this coordinator does not know the command '%s'",
                  c->command->verb);
}

static void reply(struct user_command *c, struct result r, const struct why *why)
{
    struct parcel *parcel = NULL;
    struct why sealing;
    bool has_text = ok(r) && c->text;
    if (has_text) {
        struct result sealed =
            parcel_create(c->text, c->text_n, OBJECT_REPLY, false, &parcel, &sealing);
        if (!ok(sealed)) {
            r = sealed;
            why = &sealing;
        }
    }
    struct message *message = drive_compose(c->drive, MESSAGE_REPLY, "", 0);
    memcpy(message->reply.id, c->command->id, SESSION_ID_BYTES);
    message->reply.exit_code = ok(r)                      ? 0
                               : r.code == RESULT_INPUT   ? 2
                               : r.code == RESULT_REFUSED ? 1
                                                          : 3;
    snprintf(message->reply.sentence, sizeof message->reply.sentence, "%s",
             ok(r) ? c->sentence : why->text);
    message->reply.in_object = parcel != NULL;
    drive_post(c->drive, c->user->name, c->now_ms);
    if (parcel)
        drive_send_parcel(c->drive, parcel, c->user->name, "", 0, NULL, c->command->id, c->now_ms);
    parcel_release(parcel);
}

static bool answered_just_now(struct drive *drive, const unsigned char id[SESSION_ID_BYTES])
{
    for (size_t i = 0; i < drive->answered_count; i++)
        if (memcmp(drive->answered[i], id, SESSION_ID_BYTES) == 0)
            return true;
    if (drive->answered_count < DRIVE_ANSWERED_MAX)
        memcpy(drive->answered[drive->answered_count++], id, SESSION_ID_BYTES);
    return false;
}

void drive_command(struct drive *drive, const struct drive_member *user,
                   const unsigned char *envelope, size_t envelope_n, uint64_t now_ms)
{
    if (answered_just_now(drive, drive->in->command.id))
        return;
    struct user_command c = {
        .drive = drive,
        .user = user,
        .command = &drive->in->command,
        .envelope = envelope,
        .envelope_n = envelope_n,
        .now_ms = now_ms,
    };
    struct why why = {.text = ""};
    struct result r = run_verb(&c, &why);
    if (!ok(r))
        log_warning("%s: %s: %s", user->name, c.command->verb, why.text);
    reply(&c, r, &why);
    json_decref(c.arguments);
    free(c.text);
    drive_flush(drive, now_ms); /* not after the other commands that wait: one may take long */
}
