/* SPDX-License-Identifier: Apache-2.0 */
/* The course of a study's tasks, followed through its log: what each site's part in a task was,
 * that the task's closing words are of those parts, and that what a task owes comes after it.
 *
 *   task-opened > counted, set-aside, refused, declined, missed > task-completed
 *               > (train) refused by the aggregation > model      > next task
 *               > (evaluate) gate in the last round > pooled      > next task or the end
 *   task-aborted ends a task that owes nothing. Validations of finished models have their own file.
 */
#include "coordinator/replay_inner.h"

#include "coordinator/entry.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

static bool is(const json_t *entry, const char *key, const char *value)
{
    return strcmp(text_of(entry, key), value) == 0;
}

static const char *name_of(const struct replay_study *study, uint32_t site)
{
    return study->plan.sites[site].name;
}

/* A task that was completed has a model or pooled figures before anything else begins. */
static struct result nothing_owed(const struct replay_study *study, struct why *why)
{
    if (study->course.owes)
        return failed(why, RESULT_REFUSED,
                      "task %u was completed, and the log does not tell what came of it",
                      study->course.task);
    return DONE;
}

static struct result opened(struct replay_study *study, const json_t *entry, struct why *why)
{
    struct replay_course *course = &study->course;
    TRY(nothing_owed(study, why));
    memset(course, 0, sizeof *course);
    course->task = (uint32_t)json_integer_value(json_object_get(entry, "task"));
    snprintf(course->asked, sizeof course->asked, "%s", text_of(entry, "model"));
    char model[HEX_HASH_BYTES];
    hex_hash(model, study->model);
    if (is(entry, "task_kind", "train") && !study->plan.aggregation.secure &&
        strcmp(course->asked, model) != 0)
        return failed(why, RESULT_REFUSED, "task %u starts from another model than the study's",
                      course->task);
    return DONE;
}

static bool concluded(const struct replay_part *part)
{
    return part->counted || part->aside || part->refused || part->declined;
}

/* A site's part in the open task, told once; a refusal after the task's end is the aggregation's.
 */
static struct result told(struct replay_study *study, const json_t *entry, uint32_t site,
                          struct why *why)
{
    struct replay_course *course = &study->course;
    struct replay_part *part = &course->site[site];
    bool refused = is(entry, "kind", "refused");
    if (json_integer_value(json_object_get(entry, "task")) != (json_int_t)course->task)
        return failed(why, RESULT_REFUSED, "'%s' answers a task that is not open",
                      name_of(study, site));
    snprintf(part->reason, sizeof part->reason, "%s", text_of(entry, "reason"));
    if (course->over) {
        if (!refused || !(part->counted || part->aside) || part->late)
            return failed(why, RESULT_REFUSED, "'%s' is told of after task %u was over",
                          name_of(study, site), course->task);
        part->late = true;
        return DONE;
    }
    if (concluded(part))
        return failed(why, RESULT_REFUSED, "'%s' is told of twice in task %u", name_of(study, site),
                      course->task);
    part->refused = refused;
    part->counted = is(entry, "kind", "counted");
    part->aside = is(entry, "kind", "set-aside");
    part->declined = is(entry, "kind", "declined");
    part->missed = is(entry, "kind", "missed");
    if (part->aside && strcmp(part->reason, study->members.members[site].quarantine) != 0)
        return failed(why, RESULT_REFUSED,
                      "'%s' is set aside for another reason than its quarantine",
                      name_of(study, site));
    return DONE;
}

/* A list of names at the task's end holds exactly the sites whose part that was. */
static struct result same_list(const struct replay_study *study, const json_t *entry,
                               const char *key, size_t member, struct why *why)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < study->plan.sites_count; i++) {
        const struct replay_part *part = &study->course.site[i];
        if (*(const bool *)((const char *)part + member))
            json_array_append_new(names, json_string(name_of(study, i)));
    }
    bool same = json_equal(names, json_object_get(entry, key));
    json_decref(names);
    return same ? DONE
                : failed(why, RESULT_REFUSED, "task %u lists other sites as %s than its entries",
                         study->course.task, key);
}

/* Who is listed as missed was told so and did not answer after all. */
static struct result missed_list(const struct replay_study *study, const json_t *entry,
                                 struct why *why)
{
    size_t i;
    json_t *name;
    const json_t *names = json_object_get(entry, "missed");
    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        uint32_t site = study_find(&study->members, text ? text : "");
        if (site >= study->plan.sites_count || concluded(&study->course.site[site]) ||
            !study->course.site[site].missed)
            return failed(why, RESULT_REFUSED, "task %u lists '%s' as missed, its entries do not",
                          study->course.task, text ? text : "?");
    }
    return DONE;
}

static struct result completed(struct replay_study *study, const json_t *entry, struct why *why)
{
    static const struct {
        const char *key;
        size_t member;
    } LISTS[] = {{"counted", offsetof(struct replay_part, counted)},
                 {"set_aside", offsetof(struct replay_part, aside)},
                 {"refused", offsetof(struct replay_part, refused)},
                 {"declined", offsetof(struct replay_part, declined)}};
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++)
        TRY(same_list(study, entry, LISTS[i].key, LISTS[i].member, why));
    TRY(missed_list(study, entry, why));
    study->course.over = true;
    study->course.owes = is(entry, "task_kind", "evaluate") || !study->plan.aggregation.secure;
    return DONE;
}

/* What a task owed is there; it was over before. */
static struct result paid(struct replay_study *study, const char *what, struct why *why)
{
    if (!study->course.over && !study->plan.aggregation.secure)
        return failed(why, RESULT_REFUSED, "task %u has %s, and the log does not tell its end",
                      study->course.task, what);
    study->course.owes = false;
    return DONE;
}

struct result replay_course(struct replay_study *study, const json_t *entry, uint32_t site,
                            struct why *why)
{
    static const char *const PARTS[] = {"counted", "set-aside", "refused", "declined", "missed"};
    if (study->validating)
        return DONE;
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
        if (is(entry, "kind", PARTS[i]) && site < study->plan.sites_count)
            return told(study, entry, site, why);
    if (is(entry, "kind", "task-opened"))
        return opened(study, entry, why);
    if (is(entry, "kind", "task-completed"))
        return completed(study, entry, why);
    if (is(entry, "kind", "model"))
        return paid(study, "a model", why);
    if (is(entry, "kind", "pooled"))
        return paid(study, "pooled figures", why);
    if (is(entry, "kind", "finished"))
        return nothing_owed(study, why);
    if (is(entry, "kind", "task-aborted")) {
        study->course.over = true;
        study->course.owes = false;
    }
    return DONE;
}

struct result replay_late_refusals(const struct replay_study *study,
                                   const struct combine_outcome *made, struct why *why)
{
    bool expected[PLAN_SITES_MAX] = {false};
    for (size_t i = 0; i < made->refusals_count; i++) {
        const struct study_refusal *refusal = &made->refusals[i];
        const struct replay_part *part = &study->course.site[refusal->site];
        expected[refusal->site] = true;
        if (!part->late || strcmp(part->reason, refusal->reason) != 0)
            return failed(why, RESULT_REFUSED,
                          "round %u: the aggregation refuses '%s', computed again, and the log "
                          "tells it otherwise",
                          study->server.round, name_of(study, refusal->site));
    }
    for (uint32_t i = 0; i < study->plan.sites_count; i++)
        if (study->course.site[i].late && !expected[i])
            return failed(why, RESULT_REFUSED,
                          "round %u: '%s' is told refused, and the aggregation, computed again, "
                          "does not refuse it",
                          study->server.round, name_of(study, i));
    return DONE;
}

struct result replay_best(struct replay_study *study, const json_t *entry, double score,
                          struct why *why)
{
    struct study *members = &study->members;
    char best[HEX_HASH_BYTES];
    if (is(entry, "kind", "pooled") && (members->best_round == 0 || score > members->best_score)) {
        members->best_round = study->server.round;
        members->best_score = isnan(score) ? (double)-INFINITY : score;
        memcpy(members->best, members->candidate, PLAN_HASH_BYTES);
    }
    hex_hash(best, members->best);
    if (json_integer_value(json_object_get(entry, "best_round")) !=
            (json_int_t)members->best_round ||
        !is(entry, "best", best))
        return failed(why, RESULT_REFUSED,
                      "the evaluations, pooled again, make round %u the best, the log says another",
                      members->best_round);
    return DONE;
}
