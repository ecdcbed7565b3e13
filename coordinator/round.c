/* SPDX-License-Identifier: Apache-2.0 */
/* One task of a study: counts each site once, closes when everybody alive has answered, or at the
 * deadline with a quorum, or aborts.
 *
 *          round_open
 *   NONE ─────────────▶ OPEN ──▶ COMPLETE   nobody is expected any more, or the deadline passed;
 *                        │                  and at least quorum sites are counted
 *                        └─────▶ ABORTED    the deadline passed ROUND_EXTENSIONS_MAX + 1 times, or
 *                                           too few sites are left that could still answer
 *
 * Invariants:
 *  1. A site leaves COUNTED, ASIDE, DECLINED and REFUSED never; so it is counted at most once.
 *  2. COMPLETE implies counted >= quorum.
 *  3. OPEN never outlives opened_ms + (ROUND_EXTENSIONS_MAX + 1) * allowance_ms by more than the
 *     timer's lateness; a restart of the coordinator grants one allowance anew, since the sites
 *     could not reach it meanwhile.
 *  4. A site that missed a deadline is not waited for again until it joins. */
#include "coordinator/round.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

uint32_t round_tally(const struct round *round, enum round_standing standing)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < round->sites_count; i++)
        n += round->sites[i].standing == standing;
    return n;
}

bool round_took(const struct round_site *site, const unsigned char digest[PLAN_HASH_BYTES])
{
    return (site->standing == STANDING_COUNTED || site->standing == STANDING_ASIDE) &&
           memcmp(site->digest, digest, PLAN_HASH_BYTES) == 0;
}

bool round_hopeless(const struct round *round)
{
    return round_tally(round, STANDING_COUNTED) + round_tally(round, STANDING_EXPECTED) +
               round_tally(round, STANDING_AWAY) + round_tally(round, STANDING_MISSED) <
           round->quorum;
}

static uint64_t nudge_interval(const struct round *round)
{
    uint64_t quarter = round->allowance_ms / 4;
    if (quarter < ROUND_NUDGE_MS_MIN)
        return ROUND_NUDGE_MS_MIN;
    return quarter > ROUND_NUDGE_MS_MAX ? ROUND_NUDGE_MS_MAX : quarter;
}

uint64_t round_wake(const struct round *round)
{
    if (round->phase != ROUND_OPEN)
        return UINT64_MAX;
    return round->nudge_ms < round->deadline_ms ? round->nudge_ms : round->deadline_ms;
}

static void send_to_expected(const struct round *round, struct effects *effects)
{
    for (uint32_t i = 0; i < round->sites_count; i++)
        if (round->sites[i].standing == STANDING_EXPECTED)
            effect_add(effects, EFFECT_TASK, i);
}

static void close_task(struct round *round, uint64_t now_ms, enum round_phase phase,
                       struct effects *effects)
{
    round->phase = phase;
    round->closed_ms = now_ms;
    effect_note(effects, phase == ROUND_COMPLETE ? NOTE_TASK_COMPLETED : NOTE_TASK_ABORTED,
                EFFECT_EVERYBODY);
}

static void abort_task(struct round *round, uint64_t now_ms, const char *cause,
                       struct effects *effects)
{
    snprintf(round->reason, sizeof round->reason,
             "task %u: %s: %u of the %u answers that the plan's quorum asks for; the model is "
             "unchanged",
             round->task, cause, round_tally(round, STANDING_COUNTED), round->quorum);
    close_task(round, now_ms, ROUND_ABORTED, effects);
}

/* Closes when no site is waited for any more, or when the quorum is out of reach. Sites that are
 * away keep a task without quorum open until its deadline: they may return. */
static void settle(struct round *round, uint64_t now_ms, struct effects *effects)
{
    uint32_t counted = round_tally(round, STANDING_COUNTED);
    uint32_t expected = round_tally(round, STANDING_EXPECTED);
    if (round_hopeless(round))
        abort_task(round, now_ms, "too few sites are left", effects);
    else if (expected == 0 && counted >= round->quorum)
        close_task(round, now_ms, ROUND_COMPLETE, effects);
}

void round_open(struct round *round, uint64_t now_ms, struct effects *effects)
{
    assert(round->phase == ROUND_NONE && round->quorum > 0 && round->sites_count <= PLAN_SITES_MAX);
    round->phase = ROUND_OPEN;
    round->opened_ms = now_ms;
    round->deadline_ms = now_ms + round->allowance_ms;
    round->nudge_ms = now_ms + nudge_interval(round);
    effect_store(effects);
    effect_note(effects, NOTE_TASK_OPENED, EFFECT_EVERYBODY);
    send_to_expected(round, effects);
    settle(round, now_ms, effects);
}

static void miss_the_silent(struct round *round, struct effects *effects)
{
    for (uint32_t i = 0; i < round->sites_count; i++) {
        if (round->sites[i].standing != STANDING_EXPECTED)
            continue;
        round->sites[i].standing = STANDING_MISSED;
        reason_set(round->sites[i].reason,
                   "silent at the deadline; waited for again once it says hello");
        effect_note(effects, NOTE_MISSED, i);
    }
}

static void pass_deadline(struct round *round, uint64_t now_ms, struct effects *effects)
{
    effect_store(effects);
    miss_the_silent(round, effects);
    if (round_tally(round, STANDING_COUNTED) >= round->quorum) {
        close_task(round, now_ms, ROUND_COMPLETE, effects);
    } else if (round->extensions < ROUND_EXTENSIONS_MAX) {
        round->extensions++;
        round->deadline_ms = now_ms + round->allowance_ms;
        effect_note(effects, NOTE_EXTENDED, EFFECT_EVERYBODY);
        settle(round, now_ms, effects);
    } else {
        abort_task(round, now_ms, "the deadline passed", effects);
    }
}

static void timer(struct round *round, uint64_t now_ms, struct effects *effects)
{
    if (now_ms >= round->deadline_ms) {
        pass_deadline(round, now_ms, effects);
    } else if (now_ms >= round->nudge_ms) {
        effect_store(effects);
        round->nudge_ms = now_ms + nudge_interval(round);
        send_to_expected(round, effects);
    }
}

static void join(struct round *round, uint32_t at, struct effects *effects)
{
    struct round_site *site = &round->sites[at];
    switch (site->standing) {
    case STANDING_OUT:
    case STANDING_AWAY:
    case STANDING_MISSED:
        effect_store(effects);
        site->standing = STANDING_EXPECTED;
        reason_set(site->reason, "");
        effect_add(effects, EFFECT_TASK, at);
        break;
    case STANDING_EXPECTED:
        effect_add(effects, EFFECT_TASK, at);
        break;
    case STANDING_COUNTED:
    case STANDING_DECLINED:
    case STANDING_REFUSED:
    case STANDING_ASIDE:
        break;
    }
}

static bool may_answer(const struct round_site *site)
{
    return site->standing == STANDING_EXPECTED || site->standing == STANDING_MISSED ||
           site->standing == STANDING_AWAY;
}

static struct result conclude(struct round *round, const struct round_event *event,
                              enum round_standing standing, enum note note, struct effects *effects,
                              struct why *why)
{
    struct round_site *site = &round->sites[event->site];
    if (!may_answer(site))
        return failed(why, RESULT_REFUSED, "task %u: this site's part is already concluded",
                      round->task);
    effect_store(effects);
    site->standing = standing;
    site->decline = standing == STANDING_DECLINED ? event->decline : DECLINE_OTHER;
    reason_set(site->reason, event->reason);
    effect_note(effects, note, event->site);
    settle(round, event->now_ms, effects);
    return DONE;
}

static struct result count(struct round *round, const struct round_event *event,
                           struct effects *effects, struct why *why)
{
    struct round_site *site = &round->sites[event->site];
    if (site->standing == STANDING_COUNTED || site->standing == STANDING_ASIDE) {
        if (memcmp(site->digest, event->digest, PLAN_HASH_BYTES) != 0)
            return failed(why, RESULT_REFUSED,
                          "task %u: another answer of this site is already counted", round->task);
        effect_add(effects, EFFECT_ACCEPTED, event->site);
        return DONE;
    }
    if (!may_answer(site))
        return failed(why, RESULT_REFUSED, "task %u: this site's part is already concluded",
                      round->task);
    effect_store(effects);
    site->standing = event->aside ? STANDING_ASIDE : STANDING_COUNTED;
    reason_set(site->reason, event->aside);
    memcpy(site->digest, event->digest, PLAN_HASH_BYTES);
    effect_note(effects, event->aside ? NOTE_ASIDE : NOTE_COUNTED, event->site);
    effect_add(effects, EFFECT_ACCEPTED, event->site);
    settle(round, event->now_ms, effects);
    return DONE;
}

static struct result leave(struct round *round, const struct round_event *event,
                           struct effects *effects)
{
    struct round_site *site = &round->sites[event->site];
    if (!may_answer(site))
        return DONE;
    effect_store(effects);
    site->standing = STANDING_OUT;
    reason_set(site->reason, event->reason);
    settle(round, event->now_ms, effects);
    return DONE;
}

struct result round_step(struct round *round, const struct round_event *event,
                         struct effects *effects, struct why *why)
{
    if (round->phase != ROUND_OPEN)
        return failed(why, RESULT_REFUSED, "task %u is closed", round->task);
    bool concerns_site = event->kind != ROUND_EVENT_TIMER && event->kind != ROUND_EVENT_RESTART;
    if (concerns_site && event->site >= round->sites_count)
        return failed(why, RESULT_REFUSED, "no such site in task %u", round->task);
    switch (event->kind) {
    case ROUND_EVENT_COUNT:
        return count(round, event, effects, why);
    case ROUND_EVENT_REFUSE:
        return conclude(round, event, STANDING_REFUSED, NOTE_REFUSED, effects, why);
    case ROUND_EVENT_DECLINE:
        return conclude(round, event, STANDING_DECLINED, NOTE_DECLINED, effects, why);
    case ROUND_EVENT_JOIN:
        join(round, event->site, effects);
        return DONE;
    case ROUND_EVENT_LEAVE:
        return leave(round, event, effects);
    case ROUND_EVENT_TIMER:
        timer(round, event->now_ms, effects);
        return DONE;
    case ROUND_EVENT_RESTART:
        effect_store(effects);
        round->deadline_ms = event->now_ms + round->allowance_ms;
        round->nudge_ms = event->now_ms + nudge_interval(round);
        send_to_expected(round, effects);
        return DONE;
    }
    return failed(why, RESULT_REFUSED, "unknown event");
}
