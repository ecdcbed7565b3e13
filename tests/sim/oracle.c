/* SPDX-License-Identifier: Apache-2.0 */
/* The oracles: what must hold whatever the engine thinks, judged from messages, disk and time. */
#include "tests/sim/shell.h"

#include <math.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void violated(struct shell *shell, const char *format, ...)
{
    if (shell->report->violation[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(shell->report->violation, sizeof shell->report->violation, format, args);
    va_end(args);
}

void shell_model(const struct shell *shell, const unsigned char *previous, uint32_t task,
                 unsigned char out[PLAN_HASH_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, PLAN_HASH_BYTES);
    crypto_generichash_update(&state, previous, PLAN_HASH_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)&task, sizeof task);
    for (uint32_t i = 0; i < shell->world.sites; i++)
        if (shell->objects[task][i].there && !shell->objects[task][i].aside)
            crypto_generichash_update(&state, shell->objects[task][i].digest, PLAN_HASH_BYTES);
    crypto_generichash_final(&state, out, PLAN_HASH_BYTES);
}

void oracle_refused(struct shell *shell)
{
    if (!study_same(shell->before, shell->live))
        violated(shell, "a refused event changed the state");
    if (shell->effects->count > 0)
        violated(shell, "a refused event has effects");
}

/* Disk and engine agree on what is counted; and it is something that the site sent for the task. */
static void check_objects(struct shell *shell)
{
    const struct round *task = &shell->disk->task;
    for (uint32_t i = 0; task->task > 0 && i < shell->world.sites; i++) {
        const struct sim_object *object = &shell->objects[task->task][i];
        unsigned char honest[PLAN_HASH_BYTES], other[PLAN_HASH_BYTES];
        bool aside = task->sites[i].standing == STANDING_ASIDE;
        bool counted = task->sites[i].standing == STANDING_COUNTED || aside;
        if (counted != object->there)
            violated(shell, "task %u: site %u is %scounted but its object is %son disk", task->task,
                     i, counted ? "" : "not ", object->there ? "" : "not ");
        if (!counted)
            continue;
        if (aside != object->aside)
            violated(shell, "task %u: the update of site %u is %s, but the site is %squarantined",
                     task->task, i, aside ? "set aside" : "counted", object->aside ? "" : "not ");
        world_digest(i, task->task, 0, honest);
        world_digest(i, task->task, 1, other);
        if (memcmp(object->digest, honest, PLAN_HASH_BYTES) != 0 &&
            memcmp(object->digest, other, PLAN_HASH_BYTES) != 0)
            violated(shell, "task %u: what counts for site %u was not sent for it", task->task, i);
        if (memcmp(object->digest, task->sites[i].digest, PLAN_HASH_BYTES) != 0)
            violated(shell, "task %u: site %u counts with another object than is on disk",
                     task->task, i);
    }
}

/* The sites of `task` are among those of `earlier`, and they are enough. */
static void check_stage(struct shell *shell, uint32_t task, uint32_t earlier)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < shell->world.sites; i++) {
        count += shell->objects[task][i].there;
        if (earlier > 0 && shell->objects[task][i].there && !shell->objects[earlier][i].there)
            violated(shell, "site %u is counted in task %u of a secure round, not before it", i,
                     task);
    }
    if (count < shell->world.threshold)
        violated(shell, "task %u of a secure round counts %u sites, the threshold is %u", task,
                 count, shell->world.threshold);
}

/* A secure round: five tasks in a row, the last perhaps more than once, each counting a part of the
 * sites that the one before did, never fewer than the threshold. Returns the number of its TRAIN
 * task. */
static uint32_t check_stages(struct shell *shell, uint32_t last)
{
    uint32_t agree = last;
    while (agree > TASK_STAGES - 1 && shell->oracle.kinds[agree] == TASK_REVEAL)
        agree--;
    uint32_t first = agree - (TASK_STAGES - 2);
    for (uint32_t stage = 1; stage < TASK_STAGES; stage++) {
        uint32_t task = first + stage - 1;
        if (shell->oracle.kinds[task] != task_of_stage(stage))
            violated(shell, "task %u of a secure round is a %s", task,
                     task_kind_name(shell->oracle.kinds[task]));
        check_stage(shell, task, stage > 1 ? task - 1 : 0);
    }
    check_stage(shell, last, agree);
    return first + task_stage(TASK_TRAIN) - 1;
}

/* A reveal that came to nothing is asked for again, for the same sum: sites that revealed would
 * begin no other sum of the round. Returns whether the task just opened is such a one. */
static bool check_reveal(struct shell *shell)
{
    struct oracle *oracle = &shell->oracle;
    const struct round *task = &shell->disk->task;
    bool after = task->task > 1 && oracle->kinds[task->task - 1] == TASK_REVEAL &&
                 oracle->revealing_round > shell->disk->round;
    bool revealed = false;
    for (uint32_t i = 0; after && i < shell->world.sites; i++)
        revealed = revealed || shell->objects[task->task - 1][i].there;
    if (revealed && task->kind != TASK_REVEAL)
        violated(shell, "round %u goes on with %s although sites have revealed", task->round,
                 task_kind_name(task->kind));
    if (task->kind != TASK_REVEAL)
        return false;
    if (after && memcmp(oracle->revealing, shell->disk->input, PLAN_HASH_BYTES) != 0)
        violated(shell, "task %u: another sum of round %u is to be revealed", task->task,
                 task->round);
    oracle->revealing_round = task->round;
    memcpy(oracle->revealing, shell->disk->input, PLAN_HASH_BYTES);
    return after;
}

bool oracle_quarantined(const struct shell *shell, uint32_t site)
{
    return shell->oracle.quarantined[site];
}

/* Two good rounds make up for two flagged ones; enough flagged ones lead to quarantine. */
static void keep_conduct(struct shell *shell, const struct study_event *event)
{
    struct oracle *oracle = &shell->oracle;
    for (uint32_t i = 0; i < shell->world.sites; i++) {
        bool judged = shell->before->task.sites[i].standing == STANDING_REFUSED, flagged = judged;
        for (size_t k = 0; k < event->marks_count; k++) {
            if (event->marks[k].site != i)
                continue;
            judged = true;
            flagged = event->marks[k].flags == ANOMALY_NORM;
        }
        if (!judged)
            continue;
        if (flagged)
            oracle->open[i]++;
        else
            oracle->open[i] -= oracle->open[i] > 0;
        if (shell->world.quarantine > 0 && oracle->open[i] >= shell->world.quarantine)
            oracle->quarantined[i] = true;
    }
}

static void check_aggregated(struct shell *shell, const struct study_event *event)
{
    struct oracle *oracle = &shell->oracle;
    uint32_t updates = 0;
    if (shell->disk->round == oracle->rounds)
        return; /* it failed, or was none */
    if (shell->disk->round != oracle->rounds + 1)
        violated(shell, "the rounds jump from %u to %u", oracle->rounds, shell->disk->round);
    enum task_kind last = shell->world.threshold > 0 ? TASK_REVEAL : TASK_TRAIN;
    if (shell->before->task.kind != last || shell->before->phase != STUDY_AGGREGATING)
        violated(shell, "a model appears while no round waits for one");
    uint32_t task = shell->before->task.task;
    if (shell->world.threshold > 0)
        task = check_stages(shell, task);
    for (uint32_t i = 0; i < shell->world.sites; i++)
        updates += shell->objects[task][i].there && !shell->objects[task][i].aside;
    if (updates < shell->world.quorum)
        violated(shell, "round %u is closed with %u updates, the quorum is %u", oracle->rounds + 1,
                 updates, shell->world.quorum);
    shell_model(shell, oracle->model, task, oracle->model);
    if (memcmp(oracle->model, shell->disk->model, PLAN_HASH_BYTES) != 0)
        violated(shell, "round %u: the model is not the sum of its updates over the last model",
                 oracle->rounds + 1);
    oracle->rounds = shell->disk->round;
    oracle->tries = 0;
    keep_conduct(shell, event);
}

/* A validation leaves what was learnt as it was; each that is opened is pooled once. */
static void check_validation(struct shell *shell, const struct study_event *event)
{
    struct oracle *oracle = &shell->oracle;
    const struct study *disk = shell->disk, *was = &oracle->finished;
    uint32_t opened = disk->tasks - was->tasks;
    if (was->phase != STUDY_FINISHED) {
        if (disk->phase == STUDY_FINISHED)
            study_copy(&oracle->finished, disk);
        return;
    }
    if (event->kind == STUDY_EVENT_POOLED)
        oracle->pooled++;
    oracle->opened = opened;
    if (opened != oracle->pooled + (study_active(disk) ? 1u : 0u))
        violated(shell, "%u validations were opened, %u pooled, the study is %s", opened,
                 oracle->pooled, study_phase_name(disk->phase));
    if (disk->round != was->round || disk->best_round != was->best_round ||
        disk->best_score != was->best_score || disk->ended_ms != was->ended_ms ||
        memcmp(disk->model, was->model, PLAN_HASH_BYTES) != 0 ||
        memcmp(disk->best, was->best, PLAN_HASH_BYTES) != 0)
        violated(shell, "a validation changed what the study had learnt");
    for (uint32_t i = 0; disk->task.phase == ROUND_OPEN && i < shell->world.sites; i++)
        if (!shell->world.asked[i] && disk->task.sites[i].standing != STANDING_OUT)
            violated(shell, "validation %u concerns site %u, which is not asked", disk->task.task,
                     i);
    shell->report->validated = oracle->pooled;
}

static void check_reasons(struct shell *shell)
{
    const struct round *task = &shell->disk->task;
    for (uint32_t i = 0; i < shell->world.sites; i++) {
        enum round_standing standing = task->sites[i].standing;
        bool owes = standing == STANDING_DECLINED || standing == STANDING_REFUSED ||
                    standing == STANDING_MISSED || standing == STANDING_ASIDE;
        if (owes && !task->sites[i].reason[0])
            violated(shell, "task %u: no reason is given for site %u", task->task, i);
    }
    if (shell->disk->phase == STUDY_PAUSED && !shell->disk->reason[0])
        violated(shell, "the study pauses without a reason");
}

/* Everybody who was asked has answered, and they are enough: nothing is left to wait for. */
static void check_waiting(struct shell *shell)
{
    const struct oracle *oracle = &shell->oracle;
    const struct round *task = &shell->disk->task;
    uint32_t waited = 0, objects = 0;
    if (task->phase != ROUND_OPEN || task->task != oracle->task)
        return;
    for (uint32_t i = 0; i < shell->world.sites; i++) {
        waited += oracle->asked[i];
        objects += shell->objects[task->task][i].there && !shell->objects[task->task][i].aside;
    }
    if (waited == 0 && objects >= task->quorum && objects > 0)
        violated(shell, "task %u waits although everybody alive has answered", task->task);
}

static uint64_t slack(const struct world *world)
{
    return world->allowance_ms; /* two timers, each late by at most half of it */
}

void oracle_commit(struct shell *shell, const struct study_event *event)
{
    struct oracle *oracle = &shell->oracle;
    const struct study *disk = shell->disk;
    check_objects(shell);
    check_aggregated(shell, event);
    check_reasons(shell);
    if (event->kind == STUDY_EVENT_RELEASED) {
        oracle->quarantined[event->site] = false;
        oracle->open[event->site] = 0;
    }
    for (uint32_t i = 0; i < shell->world.sites; i++)
        if (disk->members[i].conduct.quarantined != oracle->quarantined[i])
            violated(shell, "site %u is %squarantined, but by its flags it must%s", i,
                     oracle->quarantined[i] ? "not " : "", oracle->quarantined[i] ? "" : " not");
    check_validation(shell, event);
    if (event->kind == STUDY_EVENT_POOLED && shell->before->phase == STUDY_POOLING) {
        if (event->score > oracle->best)
            oracle->best = event->score;
        if (disk->best_score != oracle->best)
            violated(shell, "the best score is %g, kept is %g", oracle->best, disk->best_score);
    }
    if (disk->tasks != oracle->task) {
        if (disk->tasks != oracle->task + 1)
            violated(shell, "task numbers jump from %u to %u", oracle->task, disk->tasks);
        oracle->task = disk->tasks;
        oracle->bound_ms =
            shell->world.now_ms + 2 * shell->world.allowance_ms + slack(&shell->world);
        memset(oracle->asked, 0, sizeof oracle->asked);
        if (disk->tasks < SIM_TASKS_MAX)
            oracle->kinds[disk->tasks] = disk->task.kind;
        bool again = check_reveal(shell);
        bool anew = disk->task.kind == (shell->world.threshold > 0 ? TASK_KEYS : TASK_TRAIN);
        if ((anew || again) && ++oracle->tries > STUDY_ABORTS_MAX * (shell->resumes + 1))
            violated(shell, "round %u is tried %u times", disk->round + 1, oracle->tries);
    }
}

void oracle_effects(struct shell *shell, const struct study_event *event)
{
    struct oracle *oracle = &shell->oracle;
    bool opens = false;
    for (size_t i = 0; i < shell->effects->count; i++) {
        const struct effect *effect = &shell->effects->list[i];
        if (i > 0 && effect->kind == EFFECT_STORE)
            violated(shell, "the store is not the first effect");
        if (effect->kind == EFFECT_NOTE && effect->note == NOTE_TASK_OPENED)
            opens = true;
        if (effect->kind == EFFECT_NOTE && effect->task == oracle->task &&
            effect->site < shell->world.sites &&
            (effect->note == NOTE_COUNTED || effect->note == NOTE_REFUSED ||
             effect->note == NOTE_DECLINED || effect->note == NOTE_MISSED ||
             effect->note == NOTE_ASIDE)) {
            oracle->asked[effect->site] = false;
            if (effect->note == NOTE_MISSED)
                oracle->silent[effect->site] = true;
        }
        if (effect->kind == EFFECT_NOTE && effect->note == NOTE_MISSED)
            oracle->silent[effect->site] = true;
        if (effect->kind == EFFECT_TASK) {
            /* After the study nobody knows who is alive: everybody asked is waited for. */
            if (opens && oracle->silent[effect->site] && shell->live->phase != STUDY_VALIDATING)
                violated(shell,
                         "task %u waits for site %u, which missed a deadline and said "
                         "nothing since",
                         effect->task, effect->site);
            oracle->asked[effect->site] = true;
        }
    }
    if (event->kind == STUDY_EVENT_VERDICT && event->verdict == STUDY_REFUSED)
        oracle->asked[event->site] = false;
    check_waiting(shell);
}

void oracle_heard(struct shell *shell, uint32_t site)
{
    shell->oracle.silent[site] = false;
}

void oracle_accepted(struct shell *shell, const struct agenda_item *item)
{
    if (!shell->objects[item->task][item->site].there)
        violated(shell, "task %u: site %u is told that its answer counts, but it is not on disk",
                 item->task, item->site);
}

void oracle_restart(struct shell *shell)
{
    shell->oracle.bound_ms =
        shell->world.now_ms + 2 * shell->world.allowance_ms + slack(&shell->world);
}

void oracle_tick(struct shell *shell)
{
    if (shell->up && shell->disk->task.phase == ROUND_OPEN && study_task_open(shell->disk) &&
        shell->world.now_ms > shell->oracle.bound_ms)
        violated(shell, "task %u is open beyond every deadline", shell->disk->task.task);
}

void oracle_end(struct shell *shell)
{
    const struct study *disk = shell->disk;
    const struct world *world = &shell->world;
    uint32_t able = 0;
    shell->report->finished = study_over(disk);
    if (study_over(disk)) {
        if (shell->oracle.pooled < shell->oracle.opened)
            violated(shell, "a validation came to no end");
        if (disk->round != shell->world.rounds)
            violated(shell, "the study finished after %u of %u rounds", disk->round,
                     shell->world.rounds);
        return;
    }
    for (uint32_t i = 0; i < shell->world.sites; i++)
        able += world->site[i].verdict == STUDY_ALLOWED && world->site[i].budget > 0;
    if (able >= world->quorum)
        violated(shell,
                 "%u sites could go on, the quorum is %u, but the study stays %s in round %u", able,
                 world->quorum, study_phase_name(disk->phase), disk->round + 1);
}
