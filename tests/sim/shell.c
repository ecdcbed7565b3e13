/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated coordinator: a shell around the engine with a disk, that crashes at every step. */
#include "tests/sim/shell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Arrays are sized for PLAN_SITES_MAX sites; copying what nobody uses would take all the time. */
static void copy_round(struct round *to, const struct round *from)
{
    memcpy(to, from, offsetof(struct round, sites) + SIM_SITES_MAX * sizeof from->sites[0]);
}

static bool same_round(const struct round *a, const struct round *b)
{
    return memcmp(a, b, offsetof(struct round, sites) + SIM_SITES_MAX * sizeof a->sites[0]) == 0;
}

void study_copy(struct study *to, const struct study *from)
{
    memcpy(to, from, offsetof(struct study, members) + SIM_SITES_MAX * sizeof from->members[0]);
    copy_round(&to->task, &from->task);
    copy_round(&to->closed, &from->closed);
}

bool study_same(const struct study *a, const struct study *b)
{
    size_t head = offsetof(struct study, members) + SIM_SITES_MAX * sizeof a->members[0];
    return memcmp(a, b, head) == 0 && same_round(&a->task, &b->task) &&
           same_round(&a->closed, &b->closed);
}

static bool crashes(struct shell *shell)
{
    if (shell->world.healed || !world_chance(&shell->world, shell->world.crash))
        return false;
    shell->up = false;
    shell->life++;
    shell->report->crashes++;
    world_plan(&shell->world, world_between(&shell->world, 10, shell->world.allowance_ms),
               (struct agenda_item){.kind = AGENDA_START});
    return true;
}

/* The operator looks after a quarantine some time after it was told. */
static void plan_release(struct shell *shell, uint32_t site)
{
    world_plan(&shell->world, world_between(&shell->world, 1, 3 * shell->world.allowance_ms),
               (struct agenda_item){.kind = AGENDA_RELEASE, .site = site});
}

static void put_object(struct shell *shell, const struct study_event *event)
{
    struct sim_object *object = &shell->objects[event->task][event->site];
    if (object->there)
        violated(shell, "task %u: site %u is stored twice", event->task, event->site);
    object->there = true;
    object->aside = shell->live->task.kind == TASK_TRAIN && oracle_quarantined(shell, event->site);
    memcpy(object->digest, event->digest, PLAN_HASH_BYTES);
}

/* False when the process died on the way. */
static bool commit(struct shell *shell, const struct study_event *event)
{
    bool object = event->kind == STUDY_EVENT_DELIVERED;
    if (crashes(shell))
        return false;
    study_copy(shell->disk, shell->live);
    if (object && !shell->bug->object_apart)
        put_object(shell, event);
    bool died = crashes(shell);
    if (object && shell->bug->object_apart && !died)
        put_object(shell, event);
    if (object && shell->bug->forget_object && died)
        shell->objects[event->task][event->site].there = false;
    oracle_commit(shell, event);
    return !died;
}

static void send_effect(struct shell *shell, const struct effect *effect,
                        const struct study_event *event)
{
    struct agenda_item item = {.kind = AGENDA_TO_SITE, .site = effect->site, .task = effect->task};
    const struct round *closed = &shell->live->closed;
    switch (effect->kind) {
    case EFFECT_STORE:
        return;
    case EFFECT_NOTE:
        shell->report->refused += effect->note == NOTE_REFUSED;
        shell->report->aborted += effect->note == NOTE_TASK_ABORTED;
        shell->report->missed += effect->note == NOTE_MISSED;
        if (effect->note == NOTE_QUARANTINED)
            plan_release(shell, effect->site);
        if (effect->note == NOTE_PAUSED)
            world_plan(&shell->world,
                       world_between(&shell->world, 1, 4 * shell->world.allowance_ms),
                       (struct agenda_item){.kind = AGENDA_OPERATOR});
        return;
    case EFFECT_OFFER:
        item.message = SIM_OFFER;
        break;
    case EFFECT_TASK:
        item.message = SIM_TASK;
        item.task = shell->live->task.task;
        item.task_kind = shell->live->task.kind;
        item.round = shell->live->task.round;
        memcpy(item.digest, study_input(shell->live), PLAN_HASH_BYTES);
        break;
    case EFFECT_ACCEPTED:
        item.message = SIM_ACCEPTED;
        item.task = event->task;
        break;
    case EFFECT_CLOSED:
        item.message = SIM_CLOSED;
        item.task = closed->task;
        item.counted = closed->sites[effect->site].standing == STANDING_COUNTED;
        item.finished = study_over(shell->live);
        break;
    case EFFECT_AGGREGATE:
    case EFFECT_POOL:
    case EFFECT_RELAY:
        item.kind = AGENDA_WORK;
        item.task = shell->live->task.task;
        item.life = shell->life;
        world_plan(&shell->world, world_between(&shell->world, 1, 500), item);
        return;
    }
    world_send(&shell->world, item);
}

static void send_effects(struct shell *shell, const struct study_event *event)
{
    for (size_t i = 0; i < shell->effects->count; i++) {
        if (shell->up && i > 0 && crashes(shell))
            return;
        send_effect(shell, &shell->effects->list[i], event);
    }
}

static struct result step(struct shell *shell, struct study_event event)
{
    struct why why;
    event.now_ms = shell->world.now_ms;
    shell->report->steps++;
    if (shell->bug->before)
        shell->bug->before(shell->live, &event);
    study_copy(shell->before, shell->live);
    struct result r = study_step(shell->live, &event, shell->effects, &why);
    if (shell->bug->after)
        shell->bug->after(shell->before, shell->live, &event, shell->effects);
    if (shell->world.trace)
        printf("%10llu event %d site %u task %u -> %s, round %u task %u %s\n",
               (unsigned long long)event.now_ms, event.kind, event.site, event.task,
               study_phase_name(shell->live->phase), shell->live->round, shell->live->task.task,
               ok(r) ? "" : why.text);
    if (!ok(r)) {
        oracle_refused(shell);
        return r;
    }
    bool stored = shell->effects->count > 0 && shell->effects->list[0].kind == EFFECT_STORE;
    if (!stored && !study_same(shell->before, shell->live))
        violated(shell, "the state changed without being stored");
    if (shell->bug->send_first)
        send_effects(shell, &event);
    if (stored && !commit(shell, &event))
        return r;
    oracle_effects(shell, &event);
    if (!shell->bug->send_first)
        send_effects(shell, &event);
    return r;
}

static void tell(struct shell *shell, uint32_t site, uint32_t task, enum sim_message message)
{
    world_send(&shell->world, (struct agenda_item){.kind = AGENDA_TO_SITE,
                                                   .site = site,
                                                   .task = task,
                                                   .message = message});
}

static void take_delivery(struct shell *shell, const struct agenda_item *item)
{
    const struct sim_site *site = &shell->world.site[item->site];
    struct why why;
    if (item->task >= SIM_TASKS_MAX)
        return;
    struct result wanted = study_wants(shell->live, item->site, item->task, item->digest, &why);
    bool garbage =
        site->habit == HABIT_GARBAGE && !shell->world.healed && world_chance(&shell->world, 0.5);
    struct study_event event = {.kind = STUDY_EVENT_DELIVERED,
                                .site = item->site,
                                .task = item->task,
                                .digest = item->digest};
    if (garbage && ok(wanted)) {
        event.kind = STUDY_EVENT_REFUSED;
        event.reason = "it is not finite";
    }
    struct result r = step(shell, event);
    if (shell->up && (!ok(r) || event.kind == STUDY_EVENT_REFUSED))
        tell(shell, item->site, item->task, SIM_REFUSED);
}

static void take_message(struct shell *shell, const struct agenda_item *item)
{
    struct study_event event = {.site = item->site, .task = item->task, .reason = ""};
    oracle_heard(shell, item->site);
    /* Any word of a site proves that it is alive. */
    if (item->message != SIM_HELLO && !shell->live->members[item->site].live) {
        event.kind = STUDY_EVENT_HELLO;
        step(shell, event);
        if (!shell->up)
            return;
    }
    switch (item->message) {
    case SIM_HELLO:
        event.kind = STUDY_EVENT_HELLO;
        step(shell, event);
        break;
    case SIM_VERDICT:
        event.kind = STUDY_EVENT_VERDICT;
        event.verdict = item->verdict;
        event.declared_patients = 100;
        step(shell, event);
        break;
    case SIM_DELIVER:
        take_delivery(shell, item);
        break;
    case SIM_DECLINE:
        event.kind = STUDY_EVENT_DECLINED;
        event.reason = "the budget is spent";
        step(shell, event);
        break;
    case SIM_OFFER:
    case SIM_TASK:
    case SIM_ACCEPTED:
    case SIM_REFUSED:
    case SIM_CLOSED:
        break;
    }
}

/* What the aggregation says of those whose update is there. */
static void mark_sites(struct shell *shell, uint32_t task, struct study_event *event)
{
    event->marks = shell->marks;
    for (uint32_t i = 0; i < shell->world.sites; i++) {
        enum site_habit habit = shell->world.site[i].habit;
        bool odd = habit == HABIT_EQUIVOCATE || habit == HABIT_GARBAGE;
        if (!shell->objects[task][i].there)
            continue;
        bool flagged = world_chance(&shell->world, shell->world.healed ? 0 : odd ? 0.6 : 0.05);
        shell->marks[event->marks_count++] =
            (struct study_mark){.site = i,
                                .flags = flagged ? ANOMALY_NORM : ANOMALY_COSINE,
                                .sentence = "norm 9 times the median"};
    }
}

static void finish_work(struct shell *shell, const struct agenda_item *item)
{
    unsigned char model[PLAN_HASH_BYTES];
    struct study_event event = {.task = item->task};
    if (item->life != shell->life)
        return;
    if (shell->live->phase == STUDY_RELAYING) {
        shell_model(shell, shell->live->model, item->task, model);
        event.kind = STUDY_EVENT_RELAYED;
        event.input = model;
        step(shell, event);
        return;
    }
    if (shell->live->phase == STUDY_POOLING || shell->live->phase == STUDY_CONFIRMING) {
        event.kind = STUDY_EVENT_POOLED;
        event.score = rng_uniform(&shell->world.rng);
        step(shell, event);
        return;
    }
    uint32_t updates = item->task; /* the task whose objects are updates */
    if (shell->world.threshold > 0)
        updates = shell->live->keys + task_stage(TASK_TRAIN) - 1;
    shell_model(shell, shell->live->model, updates, model);
    event.kind = STUDY_EVENT_AGGREGATED;
    event.model = event.candidate = event.evaluation = model;
    mark_sites(shell, item->task, &event);
    unsigned char old[PLAN_HASH_BYTES];
    memcpy(old, shell->last_work_model, sizeof old);
    if (shell->bug->replay_work && shell->last_work_task > 0) {
        event.task = shell->live->task.task;
        event.model = old;
    }
    bool twice = world_chance(&shell->world, 0.2);
    memcpy(shell->last_work_model, model, PLAN_HASH_BYTES);
    shell->last_work_task = item->task;
    step(shell, event);
    if (twice && shell->up)
        step(shell, event);
}

static void start(struct shell *shell)
{
    if (shell->up)
        return;
    shell->up = true;
    shell->timer_ms = 0;
    study_copy(shell->live, shell->disk);
    oracle_restart(shell);
    if (shell->live->phase == STUDY_PAUSED)
        world_plan(&shell->world, shell->world.allowance_ms,
                   (struct agenda_item){.kind = AGENDA_OPERATOR});
    for (uint32_t i = 0; i < shell->world.sites; i++)
        if (shell->live->members[i].conduct.quarantined)
            plan_release(shell, i);
    if (!shell->bug->no_restart)
        step(shell, (struct study_event){.kind = STUDY_EVENT_RESTART});
}

static void heal(struct shell *shell)
{
    shell->world.healed = true;
    for (uint32_t i = 0; i < shell->world.sites; i++)
        if (!shell->world.site[i].up)
            site_start(&shell->world, i);
}

static void plan_timers(struct shell *shell)
{
    struct world *world = &shell->world;
    uint64_t wake = shell->up ? study_wake(shell->live) : UINT64_MAX;
    if (wake != UINT64_MAX && wake != shell->timer_ms) {
        uint64_t in = wake > world->now_ms ? wake - world->now_ms : 0;
        if (!world->healed && world_chance(world, world->late))
            in += world_between(world, 0, world->allowance_ms / 2);
        shell->timer_ms = wake;
        world_plan(world, in, (struct agenda_item){.kind = AGENDA_TIMER, .life = shell->life + 1});
    }
    if (!world->healed && world_chance(world, world->spurious / 4))
        world_plan(world, world_between(world, 0, world->allowance_ms),
                   (struct agenda_item){.kind = AGENDA_TIMER});
}

/* Asks until the store has it; whether it has is known from the number of tasks. */
static void validate(struct shell *shell)
{
    static const unsigned char model[PLAN_HASH_BYTES] = {0x77};
    struct world *world = &shell->world;
    shell->validate_planned = false;
    if (shell->up && shell->live->phase == STUDY_FINISHED)
        step(shell, (struct study_event){.kind = STUDY_EVENT_VALIDATE,
                                         .evaluation = model,
                                         .asked = world->asked});
}

/* Once the study is over, and after each validation, the next one is asked for. */
static void plan_validation(struct shell *shell)
{
    struct world *world = &shell->world;
    if (shell->validate_planned || shell->disk->phase != STUDY_FINISHED ||
        shell->oracle.opened >= world->validations)
        return;
    shell->validate_planned = true;
    world_plan(world, world_between(world, 1, world->allowance_ms),
               (struct agenda_item){.kind = AGENDA_VALIDATE});
}

static void take_item(struct shell *shell, const struct agenda_item *item)
{
    switch (item->kind) {
    case AGENDA_TO_COORDINATOR:
        if (shell->up)
            take_message(shell, item);
        break;
    case AGENDA_TIMER:
        if (item->life == shell->life + 1) /* else a spurious one */
            shell->timer_ms = 0;
        if (shell->up)
            step(shell, (struct study_event){.kind = STUDY_EVENT_TIMER});
        break;
    case AGENDA_WORK:
        if (shell->up)
            finish_work(shell, item);
        break;
    case AGENDA_START:
        start(shell);
        break;
    case AGENDA_OPERATOR:
        if (!shell->up) { /* tries again */
            world_plan(&shell->world, shell->world.allowance_ms, *item);
        } else if (shell->live->phase == STUDY_PAUSED && shell->resumes < 60) {
            shell->resumes++;
            step(shell, (struct study_event){.kind = STUDY_EVENT_RESUME});
            if (!shell->up) /* perhaps it did not happen */
                world_plan(&shell->world, shell->world.allowance_ms, *item);
        }
        break;
    case AGENDA_RELEASE:
        if (shell->up && shell->live->members[item->site].conduct.quarantined)
            step(shell, (struct study_event){.kind = STUDY_EVENT_RELEASED,
                                             .site = item->site,
                                             .reason = "talked"});
        break;
    case AGENDA_HEAL:
        heal(shell);
        break;
    case AGENDA_VALIDATE:
        validate(shell);
        break;
    case AGENDA_TO_SITE:
        if (item->message == SIM_ACCEPTED)
            oracle_accepted(shell, item);
        site_item(&shell->world, item);
        break;
    case AGENDA_SITE_DONE:
    case AGENDA_SITE_AGAIN:
    case AGENDA_SITE_DOWN:
    case AGENDA_SITE_UP:
    case AGENDA_SITE_HUMAN:
        site_item(&shell->world, item);
        break;
    }
}

static void launch(struct shell *shell)
{
    static const unsigned char first[PLAN_HASH_BYTES] = {1};
    struct world *world = &shell->world;
    snprintf(shell->plan.study, sizeof shell->plan.study, "simulated");
    shell->plan.sites = shell->names;
    shell->plan.sites_count = world->sites;
    for (uint32_t i = 0; i < world->sites; i++)
        snprintf(shell->names[i].name, sizeof shell->names[i].name, "site%u", i);
    shell->plan.training.rounds = world->rounds;
    shell->plan.validation.every = world->every;
    shell->plan.aggregation.quorum = world->quorum;
    shell->plan.aggregation.secure = world->threshold > 0;
    shell->plan.aggregation.secure_threshold = world->threshold;
    shell->plan.aggregation.quarantine = world->quarantine;
    shell->plan.aggregation.deadline_s = (double)world->allowance_ms / 1000;
    memcpy(shell->oracle.model, first, sizeof first);
    shell->oracle.best = (double)-INFINITY;
    shell->up = true;
    /* A launch that died before it was stored is launched again by the researcher. */
    struct study_event event = {.kind = STUDY_EVENT_LAUNCH, .plan = &shell->plan, .model = first};
    double crash = world->crash;
    world->crash = 0;
    step(shell, event);
    world->crash = crash;
}

static void run(struct shell *shell)
{
    struct agenda_item item;
    uint64_t end = 0;
    launch(shell);
    plan_timers(shell);
    while (!shell->report->violation[0] && shell->report->steps < SIM_STEPS_MAX &&
           world_next(&shell->world, &item)) {
        take_item(shell, &item);
        oracle_tick(shell);
        plan_timers(shell);
        plan_validation(shell);
        if ((shell->disk->phase == STUDY_FINISHED &&
             shell->oracle.pooled >= shell->world.validations) ||
            shell->disk->tasks + 1 >= SIM_TASKS_MAX)
            break;
        if (shell->world.healed && end == 0)
            end = shell->world.now_ms + 400 * shell->world.allowance_ms;
        if (end > 0 && shell->world.now_ms > end)
            break;
    }
    oracle_end(shell);
}

void sim_run(uint64_t seed, const struct sim_bug *bug, bool trace, struct sim_report *report)
{
    static const struct sim_bug NONE = {.name = "none"};
    struct shell *shell = calloc(1, sizeof *shell);
    memset(report, 0, sizeof *report);
    shell->bug = bug ? bug : &NONE;
    shell->report = report;
    shell->live = calloc(1, sizeof *shell->live);
    shell->disk = calloc(1, sizeof *shell->disk);
    shell->before = calloc(1, sizeof *shell->before);
    shell->effects = calloc(1, sizeof *shell->effects);
    world_start(&shell->world, seed);
    shell->world.trace = trace;
    run(shell);
    world_free(&shell->world);
    free(shell->live);
    free(shell->disk);
    free(shell->before);
    free(shell->effects);
    free(shell);
}
