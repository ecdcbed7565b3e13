/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated site: what it answers, how long it takes, when it dies. Budget and answers survive a
 * crash, as the vault's ledger and outbox do. */
#include "tests/sim/world.h"

#include <string.h>

static struct agenda_item from(uint32_t site, enum sim_message message)
{
    return (struct agenda_item){.kind = AGENDA_TO_COORDINATOR, .site = site, .message = message};
}

void site_start(struct world *world, uint32_t at)
{
    struct sim_site *site = &world->site[at];
    site->up = true;
    site->life++;
    world_plan(world, world_between(world, 1, 2000),
               (struct agenda_item){.kind = AGENDA_SITE_UP, .site = at, .life = site->life});
    if (site->habit == HABIT_MORTAL)
        world_plan(world, world_between(world, 1, 6 * world->allowance_ms),
                   (struct agenda_item){.kind = AGENDA_SITE_DOWN, .site = at});
}

static void answer_offer(struct world *world, uint32_t at)
{
    struct sim_site *site = &world->site[at];
    struct agenda_item item = from(at, SIM_VERDICT);
    if (site->verdict == 0 && site->habit == HABIT_REFUSES)
        site->verdict = STUDY_REFUSED;
    else if (site->verdict == 0 && site->habit == HABIT_ASKS) {
        site->verdict = STUDY_ASKING;
        world_plan(world, world_between(world, 1, 3 * world->allowance_ms),
                   (struct agenda_item){.kind = AGENDA_SITE_HUMAN, .site = at});
    } else if (site->verdict == 0)
        site->verdict = STUDY_ALLOWED;
    item.verdict = site->verdict;
    world_send(world, item);
}

static void send_answer(struct world *world, uint32_t at)
{
    struct sim_site *site = &world->site[at];
    struct agenda_item item = from(at, SIM_DELIVER);
    item.task = site->task;
    world_digest(at, site->task, 0, item.digest);
    world_send(world, item);
    if (site->habit == HABIT_EQUIVOCATE && !world->healed) {
        world_digest(at, site->task, 1, item.digest);
        world_send(world, item);
    }
    if (site->habit == HABIT_STALE && site->task > 1) {
        item.task = site->task - 1;
        world_digest(at, item.task, 0, item.digest);
        world_send(world, item);
    }
    world_plan(world, 3000,
               (struct agenda_item){
                   .kind = AGENDA_SITE_AGAIN, .site = at, .task = site->task, .life = site->life});
}

static uint64_t compute_time(struct world *world, const struct sim_site *site)
{
    if (site->habit == HABIT_SLOW && !world->healed)
        return world_between(world, world->compute_ms, 2 * world->allowance_ms);
    return world_between(world, 1, world->compute_ms);
}

static bool has_done(const struct sim_site *site, uint32_t stage)
{
    uint32_t task = site->keys_task + stage - 1;
    return site->keys_task > 0 && task < SIM_TASKS_MAX && site->done[task];
}

/* One sum of a round, again and again if need be, and no other. */
static bool may_reveal(struct sim_site *site, const struct agenda_item *order)
{
    if (order->round == site->revealed)
        return memcmp(order->digest, site->revealed_input, PLAN_HASH_BYTES) == 0;
    if (order->round < site->revealed || !has_done(site, task_stage(TASK_AGREE)))
        return false;
    site->revealed = order->round;
    memcpy(site->revealed_input, order->digest, PLAN_HASH_BYTES);
    return true;
}

/* As the vault: keys live as long as its process until it has trained, and on disk from then on;
 * one that revealed does not try the round again, and what is in the outbox is sent again whatever
 * happened since. */
static bool has_keys(const struct world *world, struct sim_site *site,
                     const struct agenda_item *order)
{
    uint32_t stage = task_stage(order->task_kind);
    if (world->threshold == 0 || stage == 0 || order->task >= SIM_TASKS_MAX ||
        site->done[order->task])
        return true;
    if (order->task_kind == TASK_REVEAL)
        return may_reveal(site, order);
    if (order->round <= site->revealed)
        return false;
    if (order->task_kind == TASK_KEYS) {
        site->keys_task = order->task;
        site->keys_life = site->life;
        return true;
    }
    if (site->keys_task != order->task - (stage - 1))
        return false;
    return site->keys_life == site->life || has_done(site, task_stage(TASK_TRAIN));
}

static void take_task(struct world *world, const struct agenda_item *order)
{
    struct sim_site *site = &world->site[order->site];
    if (order->task < site->task || (order->task == site->task && site->computing))
        return;
    site->task = order->task;
    site->task_kind = order->task_kind;
    bool known = order->task < SIM_TASKS_MAX && site->spent[order->task];
    if (!has_keys(world, site, order)) {
        struct agenda_item item = from(order->site, SIM_DECLINE);
        item.task = order->task;
        world_send(world, item);
        return;
    }
    if (order->task_kind == TASK_TRAIN && !known && site->budget == 0) {
        struct agenda_item item = from(order->site, SIM_DECLINE);
        item.task = order->task;
        world_send(world, item);
        return;
    }
    if (order->task_kind == TASK_TRAIN && !known) {
        site->budget--; /* before anything exists that could leave */
        site->spent[order->task] = true;
    }
    if (site->sending)
        return;
    site->computing = true;
    world_plan(world, compute_time(world, site),
               (struct agenda_item){.kind = AGENDA_SITE_DONE,
                                    .site = order->site,
                                    .task = order->task,
                                    .life = site->life});
}

static void take_message(struct world *world, const struct agenda_item *item)
{
    struct sim_site *site = &world->site[item->site];
    switch (item->message) {
    case SIM_OFFER:
        answer_offer(world, item->site);
        break;
    case SIM_TASK:
        if (item->task > site->task)
            site->computing = site->sending = false;
        take_task(world, item);
        break;
    case SIM_ACCEPTED:
    case SIM_REFUSED:
        if (item->task == site->task)
            site->sending = false;
        break;
    case SIM_CLOSED:
        if (item->task >= site->task)
            site->computing = site->sending = false;
        /* A site that heard nothing of the task shows that it is there. */
        if (!item->counted && !item->finished && item->task > site->task)
            world_send(world, from(item->site, SIM_HELLO));
        break;
    case SIM_HELLO:
    case SIM_VERDICT:
    case SIM_DELIVER:
    case SIM_DECLINE:
        break;
    }
}

void site_item(struct world *world, const struct agenda_item *item)
{
    struct sim_site *site = &world->site[item->site];
    switch (item->kind) {
    case AGENDA_SITE_UP:
        if (item->life == site->life && site->up)
            world_send(world, from(item->site, SIM_HELLO));
        break;
    case AGENDA_SITE_DOWN:
        if (world->healed)
            break;
        site->up = false;
        site->life++;
        site->computing = site->sending = false;
        site->task = 0;
        world_plan(world, world_between(world, 1, (world->harsh ? 30 : 8) * world->allowance_ms),
                   (struct agenda_item){.kind = AGENDA_SITE_HUMAN, .site = item->site});
        break;
    case AGENDA_SITE_HUMAN:
        if (!site->up) {
            site_start(world, item->site);
        } else if (site->verdict == STUDY_ASKING) {
            site->verdict = world_chance(world, 0.7) ? STUDY_ALLOWED : STUDY_REFUSED;
            answer_offer(world, item->site);
        }
        break;
    case AGENDA_SITE_DONE:
        if (item->life != site->life || item->task != site->task || !site->computing)
            break;
        site->computing = false;
        site->sending = true;
        if (item->task < SIM_TASKS_MAX)
            site->done[item->task] = true;
        send_answer(world, item->site);
        break;
    case AGENDA_SITE_AGAIN:
        if (item->life == site->life && item->task == site->task && site->sending)
            send_answer(world, item->site);
        break;
    case AGENDA_TO_SITE:
        if (site->up)
            take_message(world, item);
        break;
    case AGENDA_TO_COORDINATOR:
    case AGENDA_TIMER:
    case AGENDA_WORK:
    case AGENDA_START:
    case AGENDA_OPERATOR:
    case AGENDA_RELEASE:
    case AGENDA_HEAL:
    case AGENDA_VALIDATE:
        break;
    }
}
