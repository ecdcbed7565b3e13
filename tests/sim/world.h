/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's world: parameters drawn from the seed, and its agenda of future events. */
#ifndef CONSILIUM_TESTS_SIM_WORLD_H
#define CONSILIUM_TESTS_SIM_WORLD_H

#include "tests/sim/sim.h"

#include "privacy/rng.h"

/* Who does something at its time. */
enum agenda_kind {
    AGENDA_TO_COORDINATOR = 1, /* message from a site */
    AGENDA_TO_SITE,
    AGENDA_TIMER,
    AGENDA_WORK,       /* the aggregation or pooling is done */
    AGENDA_START,      /* the coordinator's process starts */
    AGENDA_SITE_DONE,  /* a site has computed its answer */
    AGENDA_SITE_AGAIN, /* a site repeats what was not acknowledged */
    AGENDA_SITE_DOWN,
    AGENDA_SITE_UP,
    AGENDA_SITE_HUMAN, /* the steward decides */
    AGENDA_OPERATOR,   /* looks after a paused study */
    AGENDA_RELEASE,    /* the operator releases a quarantined site */
    AGENDA_HEAL,       /* from now on nothing goes wrong any more */
    AGENDA_VALIDATE,   /* somebody asks for the finished model once more */
};

enum sim_message {
    SIM_HELLO = 1,
    SIM_OFFER,
    SIM_VERDICT,
    SIM_TASK,
    SIM_DELIVER,
    SIM_DECLINE,
    SIM_ACCEPTED,
    SIM_REFUSED,
    SIM_CLOSED,
};

struct agenda_item {
    uint64_t due_ms, order;
    enum agenda_kind kind;
    uint32_t site, task, life; /* life: of the sender's or worker's process */
    uint32_t round;
    enum sim_message message;
    enum study_verdict verdict;
    enum task_kind task_kind;
    bool counted;
    bool finished;
    unsigned char digest[PLAN_HASH_BYTES]; /* of an answer; of a task's input */
};

enum site_habit {
    HABIT_HONEST,
    HABIT_SLOW,       /* often beyond the deadline */
    HABIT_MORTAL,     /* dies and comes back */
    HABIT_REFUSES,    /* the study */
    HABIT_ASKS,       /* a human, who allows or refuses */
    HABIT_POOR,       /* its budget ends before the study */
    HABIT_EQUIVOCATE, /* sends two different answers */
    HABIT_STALE,      /* answers old tasks again */
    HABIT_GARBAGE,    /* sends what must be refused */
    HABIT_COUNT,
};

struct sim_site {
    enum site_habit habit;
    bool up;
    uint32_t life;
    enum study_verdict verdict; /* durable; 0 = not answered */
    uint32_t budget;            /* train tasks */
    bool spent[SIM_TASKS_MAX];  /* durable: the task was trained */
    uint32_t task;              /* the open one, as far as the site knows */
    enum task_kind task_kind;
    bool computing, sending;
    bool done[SIM_TASKS_MAX]; /* durable: the answer is in the outbox */
    /* Of a secure round: its KEYS task, and whose memory has the keys; durable once it trained. */
    uint32_t keys_task, keys_life;
    uint32_t revealed; /* durable: last round that it helped to open, for which input */
    unsigned char revealed_input[PLAN_HASH_BYTES];
};

struct world {
    struct rng rng;
    uint64_t now_ms, order;
    bool healed, trace;
    bool harsh; /* every site dies, and stays away for long */
    /* parameters */
    double loss, twice, crash, late, spurious;
    uint64_t delay_ms_max, compute_ms, allowance_ms;
    uint32_t sites, rounds, every, quorum, quarantine;
    uint32_t threshold;        /* of secure aggregation; 0 = without */
    uint32_t validations;      /* asked for after the study */
    bool asked[SIM_SITES_MAX]; /* in them */
    struct sim_site site[SIM_SITES_MAX];
    struct agenda_item *agenda; /* heap */
    size_t agenda_count, agenda_room;
};

void world_start(struct world *world, uint64_t seed);
void world_free(struct world *world);

bool world_chance(struct world *world, double probability);
uint64_t world_between(struct world *world, uint64_t low, uint64_t high);

/* Puts an item at now + in_ms on the agenda. */
void world_plan(struct world *world, uint64_t in_ms, struct agenda_item item);

/* Sends a message through the bad network: perhaps lost, perhaps twice, in any order. */
void world_send(struct world *world, struct agenda_item item);

/* Takes the next item and moves time there; false when nothing is left. */
bool world_next(struct world *world, struct agenda_item *item);

/* What a site sends for a task; variant 0 is the honest one. */
void world_digest(uint32_t site, uint32_t task, unsigned variant,
                  unsigned char digest[PLAN_HASH_BYTES]);

/* A site's behaviour: its agenda items and messages. */
void site_start(struct world *world, uint32_t at);
void site_item(struct world *world, const struct agenda_item *item);

#endif
