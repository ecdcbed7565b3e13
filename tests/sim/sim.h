/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator's engine and its sites in one process and virtual time, from one seed: messages are
 * lost, doubled and delayed, the coordinator crashes at every store step, timers are late or
 * spurious, sites die, dawdle, lie and come back. Oracles that know nothing of the engine's
 * insides watch it. */
#ifndef CONSILIUM_TESTS_SIM_H
#define CONSILIUM_TESTS_SIM_H

#include "coordinator/study.h"

enum {
    SIM_SITES_MAX = 9,
    SIM_TASKS_MAX = 512,
    SIM_STEPS_MAX = 200000,
};

/* A mistake planted into engine or shell, which the oracles must find. Every hook may be NULL. */
struct sim_bug {
    const char *name;
    /* Changes state or event before the engine sees them. */
    void (*before)(struct study *study, struct study_event *event);
    /* Changes state or effects after a step. */
    void (*after)(const struct study *before, struct study *study, const struct study_event *event,
                  struct effects *effects);
    bool send_first;    /* effects are sent before the state is stored */
    bool object_apart;  /* the object is stored after the step's transaction, not in it */
    bool no_restart;    /* a new process does not tell the engine so */
    bool replay_work;   /* an old result of the aggregation is taken for the present one */
    bool forget_object; /* a crash between store and send forgets the object */
};

extern const struct sim_bug SIM_BUGS[];
extern const size_t SIM_BUGS_COUNT;

struct sim_report {
    char violation[512]; /* "" = the run was good */
    uint64_t steps, crashes, refused, aborted, missed;
    bool finished;
    uint32_t validated; /* finished models evaluated again */
};

/* One run. bug may be NULL. trace prints what happens. */
void sim_run(uint64_t seed, const struct sim_bug *bug, bool trace, struct sim_report *report);

#endif
