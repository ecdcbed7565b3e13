/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated coordinator's process and disk, and the oracles' own books. */
#ifndef CONSILIUM_TESTS_SIM_SHELL_H
#define CONSILIUM_TESTS_SIM_SHELL_H

#include "tests/sim/world.h"

/* An object on disk. */
struct sim_object {
    bool there;
    bool aside; /* of a site that was quarantined when it came, by the oracle's own book */
    unsigned char digest[PLAN_HASH_BYTES];
};

/* What the oracles remember, from messages and disk alone. */
struct oracle {
    enum task_kind kinds[SIM_TASKS_MAX];      /* of the tasks opened */
    uint32_t rounds;                          /* models made */
    unsigned char model[PLAN_HASH_BYTES];     /* the last one, by the oracle's own sum */
    double best;                              /* highest score pooled */
    uint32_t task;                            /* the one seen open last */
    uint64_t bound_ms;                        /* when it must have closed */
    uint32_t tries;                           /* train tasks opened for the present round */
    uint32_t revealing_round;                 /* of the last REVEAL */
    unsigned char revealing[PLAN_HASH_BYTES]; /* its input */
    bool asked[SIM_SITES_MAX];                /* in the open task, and not concluded or missed */
    bool silent[SIM_SITES_MAX];               /* missed a deadline and said nothing since */
    uint32_t opened, pooled;                  /* validations, by disk */
    struct study finished;                    /* as the study ended */
    unsigned open[SIM_SITES_MAX]; /* flagged rounds less good ones, since the last release */
    bool quarantined[SIM_SITES_MAX];
};

struct shell {
    struct world world;
    const struct sim_bug *bug;
    struct sim_report *report;
    struct plan plan;
    struct plan_site names[SIM_SITES_MAX];
    struct study *live, *disk, *before;
    struct effects *effects;
    struct sim_object objects[SIM_TASKS_MAX][SIM_SITES_MAX]; /* on disk */
    bool up;
    uint32_t life;
    uint32_t resumes;
    bool validate_planned;
    uint64_t timer_ms; /* the wake that a timer is planned for */
    uint32_t last_work_task;
    unsigned char last_work_model[PLAN_HASH_BYTES];
    struct study_mark marks[SIM_SITES_MAX]; /* of the last work */
    struct oracle oracle;
};

/* Reports the first violation only. */
void violated(struct shell *shell, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* After a refused step, after a commit, after the effects are known, when a site is told that its
 * object counts, at every coordinator item, and at the end. */
void oracle_refused(struct shell *shell);
void oracle_commit(struct shell *shell, const struct study_event *event);
void oracle_effects(struct shell *shell, const struct study_event *event);
void oracle_accepted(struct shell *shell, const struct agenda_item *item);
void oracle_heard(struct shell *shell, uint32_t site);
void oracle_restart(struct shell *shell);
void oracle_tick(struct shell *shell);
void oracle_end(struct shell *shell);
bool oracle_quarantined(const struct shell *shell, uint32_t site);

/* H(previous model, task, digests of the objects on disk in the order of sites). */
void shell_model(const struct shell *shell, const unsigned char *previous, uint32_t task,
                 unsigned char out[PLAN_HASH_BYTES]);

/* The parts of a study that a world of this size uses. */
void study_copy(struct study *to, const struct study *from);
bool study_same(const struct study *a, const struct study *b);

#endif
