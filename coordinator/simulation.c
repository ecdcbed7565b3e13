/* SPDX-License-Identifier: Apache-2.0 */
/* One thread turns coordinator and sites in order:
 *
 *   deliver ─▶ coordinator ─▶ sites' sessions ─▶ packets under way? ── yes ─▶ again
 *                                                      │ no
 *                                  vaults with requests: the honest ones, then the hostile one
 *                                                      │ none
 *                                       time jumps to the next timer
 *
 * So a hostile site acts when every honest update of the round exists, and two runs with the same
 * plan and data differ by privacy noise alone. */
#include "coordinator/simulation.h"

#include "coordinator/drive.h"
#include "coordinator/report.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/topic.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_TURNS_MAX = 10000 /* without anything that happens */ };
static const char CONSORTIUM[] = "simulation", COORDINATOR[] = "coordinator",
                  RESEARCHER[] = "researcher";

struct member_site {
    struct drive_member member;
    struct local_site *site;
    bool hostile;
};

struct simulation {
    struct simulation_options options;
    struct link_memory_hub *hub;
    struct store *store;
    struct drive *drive;
    struct link *link, *researcher_link;
    struct identity_public coordinator;
    unsigned char *sign, *seal;       /* the coordinator's secrets */
    unsigned char *researcher_secret; /* signs the launch */
    struct drive_member researcher;
    struct member_site sites[PLAN_SITES_MAX];
    size_t sites_count;
    uint64_t start_ms, skipped_ms;
    struct message *message;
    bool answered;
    uint32_t exit_code;
    struct why answer;
};

static uint64_t now_ms(const struct simulation *s)
{
    return clock_unix_ms() + s->skipped_ms;
}

static bool find_member(void *context, const char *name, struct drive_member *member)
{
    const struct simulation *s = context;
    for (size_t i = 0; i < s->sites_count; i++) {
        if (strcmp(s->sites[i].member.name, name) != 0)
            continue;
        *member = s->sites[i].member;
        return true;
    }
    if (strcmp(name, RESEARCHER) != 0)
        return false;
    *member = s->researcher;
    return true;
}

/* ---- making the consortium ---- */

static struct result make_keys(struct simulation *s, struct why *why)
{
    s->sign = sodium_malloc(ENVELOPE_SIGN_SECRET_BYTES);
    s->seal = sodium_malloc(SEAL_SECRET_BYTES);
    s->researcher_secret = sodium_malloc(ENVELOPE_SIGN_SECRET_BYTES);
    if (!s->sign || !s->seal || !s->researcher_secret)
        return failed(why, RESULT_SYSTEM, "no memory for keys");
    s->coordinator.role = ROLE_COORDINATOR;
    snprintf(s->coordinator.name, sizeof s->coordinator.name, "%s", COORDINATOR);
    crypto_sign_keypair(s->coordinator.sign_key, s->sign);
    crypto_box_keypair(s->coordinator.seal_key, s->seal);
    s->researcher.role = DRIVE_RESEARCHER;
    snprintf(s->researcher.name, sizeof s->researcher.name, "%s", RESEARCHER);
    crypto_sign_keypair(s->researcher.sign_public, s->researcher_secret);
    /* Nothing is sealed to the researcher: the report is read from the store. */
    memcpy(s->researcher.seal_public, s->coordinator.seal_key, SEAL_PUBLIC_BYTES);
    return DONE;
}

static struct result open_links(struct simulation *s, struct why *why)
{
    char up[LINK_TOPIC_BYTES], down[LINK_TOPIC_BYTES];
    struct topic topic = {.direction = TOPIC_DOWN, .channel = TOPIC_MESSAGE};
    snprintf(up, sizeof up, "cns/1/%s/up/#", CONSORTIUM);
    snprintf(topic.member, sizeof topic.member, "%s", RESEARCHER);
    topic_format(down, CONSORTIUM, &topic);
    struct link_options coordinator = {.name = COORDINATOR,
                                       .subscriptions = (const char *const[]){up, NULL}};
    struct link_options researcher = {.name = RESEARCHER,
                                      .subscriptions = (const char *const[]){down, NULL}};
    TRY(link_memory_open(s->hub, &coordinator, &s->link, why));
    return link_memory_open(s->hub, &researcher, &s->researcher_link, why);
}

static struct result open_site(struct simulation *s, const char *name, struct why *why)
{
    const struct simulation_hostile *hostile = &s->options.hostile;
    struct member_site *place = &s->sites[s->sites_count];
    struct identity_public self;
    place->hostile = hostile->site && strcmp(hostile->site, name) == 0;
    struct local_site_options options = {
        .consortium = CONSORTIUM,
        .name = name,
        .coordinator = &s->coordinator,
        .hub = s->hub,
        .folder = s->options.folder,
        .poison = place->hostile ? hostile->poison : POISON_NONE,
        .declares = place->hostile ? hostile->declares : 0,
        .tamper = s->options.tamper,
        .context = s->options.context,
    };
    TRY(s->options.sites->open(&options, &place->site, &self, why));
    struct drive_member *member = &place->member;
    member->role = DRIVE_SITE;
    snprintf(member->name, sizeof member->name, "%s", name);
    memcpy(member->sign_public, self.sign_key, sizeof member->sign_public);
    memcpy(member->seal_public, self.seal_key, sizeof member->seal_public);
    s->sites_count++;
    return DONE;
}

static struct result open_parts(struct simulation *s, struct why *why)
{
    const struct link_memory_faults none = {0};
    s->message = calloc(1, sizeof *s->message);
    if (!s->message)
        return failed(why, RESULT_SYSTEM, "no memory for a message");
    TRY(make_keys(s, why));
    TRY(link_memory_hub_open(&none, &s->hub, why));
    TRY(open_links(s, why));
    for (unsigned i = 0; i < s->options.plan->sites_count; i++)
        TRY(open_site(s, s->options.plan->sites[i].name, why));
    TRY(store_open(":memory:", s->sign, &s->store, why));
    struct drive_options options = {
        .consortium = CONSORTIUM,
        .name = COORDINATOR,
        .sign_secret = s->sign,
        .sign_public = s->coordinator.sign_key,
        .seal_public = s->coordinator.seal_key,
        .seal_secret = s->seal,
        .store = s->store,
        .link = s->link,
        .find = find_member,
        .context = s,
    };
    return drive_open(&options, now_ms(s), &s->drive, why);
}

struct result simulation_open(const struct simulation_options *options,
                              struct simulation **ret_simulation, struct why *why)
{
    *ret_simulation = NULL;
    struct simulation *s = calloc(1, sizeof *s);
    if (!s)
        return failed(why, RESULT_SYSTEM, "no memory for a simulation");
    s->options = *options;
    s->start_ms = clock_unix_ms();
    struct result r = open_parts(s, why);
    if (ok(r))
        *ret_simulation = s;
    else
        simulation_close(s);
    return r;
}

void simulation_close(struct simulation *s)
{
    if (!s)
        return;
    drive_close(s->drive);
    for (size_t i = 0; i < s->sites_count; i++)
        s->options.sites->close(s->sites[i].site);
    struct link *links[] = {s->link, s->researcher_link};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        if (links[i])
            links[i]->operations->close(links[i]);
    link_memory_hub_close(s->hub);
    store_close(s->store);
    sodium_free(s->sign);
    sodium_free(s->seal);
    sodium_free(s->researcher_secret);
    free(s->message);
    free(s);
}

/* ---- the researcher ---- */

static struct result launch(struct simulation *s, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *bytes = NULL;
    size_t n = 0;
    char text[LINK_TOPIC_BYTES];
    struct topic topic = {.direction = TOPIC_UP, .channel = TOPIC_MESSAGE};
    struct message_head *head = &s->message->head;
    struct message_command *command = &s->message->command;
    s->message->kind = MESSAGE_COMMAND;
    snprintf(head->consortium, sizeof head->consortium, "%s", CONSORTIUM);
    snprintf(head->sender, sizeof head->sender, "%s", RESEARCHER);
    snprintf(head->receiver, sizeof head->receiver, "%s", COORDINATOR);
    randombytes_buf(head->session, sizeof head->session);
    head->sequence = 1;
    head->sent_ms = now_ms(s);
    randombytes_buf(command->id, sizeof command->id);
    snprintf(command->verb, sizeof command->verb, "launch");
    memcpy(command->text, s->options.plan_text, s->options.plan_n);
    command->text_n = s->options.plan_n;
    snprintf(topic.member, sizeof topic.member, "%s", RESEARCHER);
    topic_format(text, CONSORTIUM, &topic);
    TRY(envelope_seal(s->message, s->researcher_secret, &bytes, &n, why));
    return s->researcher_link->operations->publish(s->researcher_link, text, bytes, n, why);
}

static void hear_answer(struct simulation *s)
{
    struct link_event event;
    struct why ignored;
    while (s->researcher_link->operations->next(s->researcher_link, &event)) {
        if (event.kind == LINK_PACKET &&
            ok(envelope_open(event.payload, event.payload_n, s->coordinator.sign_key, s->message,
                             &ignored)) &&
            s->message->kind == MESSAGE_REPLY) {
            s->answered = true;
            s->exit_code = s->message->reply.exit_code;
            snprintf(s->answer.text, sizeof s->answer.text, "%s", s->message->reply.sentence);
        }
        if (event.kind == LINK_PACKET)
            free(event.payload);
    }
}

/* ---- turning ---- */

static struct result talk(struct simulation *s, struct why *why)
{
    uint64_t now = now_ms(s);
    link_memory_hub_advance(s->hub, now - s->start_ms);
    drive_timer(s->drive, now);
    drive_run(s->drive, now);
    for (size_t i = 0; i < s->sites_count; i++)
        TRY(s->options.sites->run(s->sites[i].site, now, why));
    hear_answer(s);
    return DONE;
}

static struct result work(struct simulation *s, bool hostile, bool *any, struct why *why)
{
    for (size_t i = 0; i < s->sites_count; i++) {
        for (bool worked = s->sites[i].hostile == hostile; worked;) {
            TRY(s->options.sites->work(s->sites[i].site, now_ms(s), &worked, why));
            *any = *any || worked;
        }
    }
    return DONE;
}

static uint64_t next_wake(const struct simulation *s)
{
    uint64_t wake = drive_wake(s->drive);
    for (size_t i = 0; i < s->sites_count; i++) {
        uint64_t due = s->options.sites->wake(s->sites[i].site);
        wake = due < wake ? due : wake;
    }
    return wake;
}

static struct result turn(struct simulation *s, unsigned *idle, struct why *why)
{
    bool any = false;
    TRY(talk(s, why));
    if (link_memory_hub_due_ms(s->hub) == UINT64_MAX) {
        TRY(work(s, false, &any, why));
        TRY(work(s, true, &any, why));
        uint64_t wake = any ? 0 : next_wake(s), now = now_ms(s);
        if (wake == UINT64_MAX || *idle == IDLE_TURNS_MAX)
            return failed(why, RESULT_SYSTEM,
                          "the simulated study stands still: nobody has anything left to do");
        *idle = any || wake > now ? 0 : *idle + 1;
        s->skipped_ms += wake > now ? wake - now : 0;
    }
    return DONE;
}

struct result simulation_run(struct simulation *s, struct why *why)
{
    unsigned idle = 0;
    size_t studies = 0, active = 0;
    TRY(launch(s, why));
    do {
        TRY(turn(s, &idle, why));
        drive_count(s->drive, &studies, &active);
        if (s->answered && s->exit_code != 0)
            return failed(why, s->exit_code == 2 ? RESULT_INPUT : RESULT_REFUSED, "%s",
                          s->answer.text);
    } while (!s->answered || active > 0);
    return DONE;
}

struct result simulation_report(struct simulation *s, char **ret_text, struct why *why)
{
    return report_text(s->store, s->options.plan->study, s->coordinator.sign_key, ret_text, why);
}

struct result simulation_model(struct simulation *s, struct store_bytes *ret_payload,
                               struct why *why)
{
    CLEANUP(free_pointer) struct study *study = calloc(1, sizeof *study);
    if (!study)
        return failed(why, RESULT_SYSTEM, "out of memory");
    TRY(store_load(s->store, s->options.plan->study, study, why));
    return store_read_model(s->store, study->best_round > 0 ? study->best : study->model,
                            ret_payload, why);
}
