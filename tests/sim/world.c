/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters, agenda and network of the simulated world. */
#include "tests/sim/world.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

bool world_chance(struct world *world, double probability)
{
    return rng_uniform(&world->rng) < probability;
}

uint64_t world_between(struct world *world, uint64_t low, uint64_t high)
{
    return low + rng_below(&world->rng, high - low + 1);
}

void world_start(struct world *world, uint64_t seed)
{
    unsigned char key[RNG_KEY_BYTES] = {0};
    memset(world, 0, sizeof *world);
    memcpy(key, &seed, sizeof seed);
    rng_init_seeded(&world->rng, key, 0);
    world->now_ms = 1000000;
    world->sites = (uint32_t)world_between(world, 1, SIM_SITES_MAX);
    world->rounds = (uint32_t)world_between(world, 1, 6);
    world->every = (uint32_t)world_between(world, 1, 4);
    world->quorum = (uint32_t)world_between(world, 1, (world->sites + 1) / 2);
    if (world->sites >= 3 && world_chance(world, 0.4))
        world->threshold = 2 * world->sites / 3 + 1;
    world->quorum = world->quorum > world->threshold ? world->quorum : world->threshold;
    world->allowance_ms = world_between(world, 4000, 120000);
    world->compute_ms = world_between(world, 10, world->allowance_ms / 3);
    world->delay_ms_max = world_between(world, 1, world->allowance_ms / 10);
    world->loss = world_chance(world, 0.5) ? rng_uniform(&world->rng) * 0.3 : 0;
    world->twice = world_chance(world, 0.5) ? rng_uniform(&world->rng) * 0.3 : 0;
    world->crash = world_chance(world, 0.6) ? rng_uniform(&world->rng) * 0.08 : 0;
    world->late = world_chance(world, 0.5) ? rng_uniform(&world->rng) : 0;
    world->spurious = world_chance(world, 0.5) ? rng_uniform(&world->rng) * 0.3 : 0;
    world->harsh = world_chance(world, 0.1);
    for (uint32_t i = 0; i < world->sites; i++) {
        struct sim_site *site = &world->site[i];
        /* Most are honest, so that most worlds can finish. */
        bool honest = world_chance(world, 0.55);
        site->habit =
            honest ? HABIT_HONEST : (enum site_habit)world_between(world, 0, HABIT_COUNT - 1);
        if (world->harsh)
            site->habit = HABIT_MORTAL;
        site->budget = site->habit == HABIT_POOR ? (uint32_t)world_between(world, 0, world->rounds)
                                                 : SIM_TASKS_MAX;
        site_start(world, i);
    }
    /* Secure rounds hide what a quarantine needs. */
    if (world->threshold == 0 && world_chance(world, 0.4))
        world->quarantine = (uint32_t)world_between(world, 1, 3);
    world_plan(world, 40 * world->allowance_ms, (struct agenda_item){.kind = AGENDA_HEAL});
    world->validations = (uint32_t)world_between(world, 0, 3);
    for (uint32_t i = 0; i < world->sites; i++)
        world->asked[i] = world_chance(world, 0.7);
}

void world_free(struct world *world)
{
    free(world->agenda);
}

static bool earlier(const struct agenda_item *a, const struct agenda_item *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

void world_plan(struct world *world, uint64_t in_ms, struct agenda_item item)
{
    if (world->agenda_count == world->agenda_room) {
        world->agenda_room = world->agenda_room ? 2 * world->agenda_room : 256;
        world->agenda = realloc(world->agenda, world->agenda_room * sizeof *world->agenda);
        assert(world->agenda);
    }
    item.due_ms = world->now_ms + in_ms;
    item.order = world->order++;
    size_t i = world->agenda_count++;
    while (i > 0 && earlier(&item, &world->agenda[(i - 1) / 2])) {
        world->agenda[i] = world->agenda[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    world->agenda[i] = item;
}

bool world_next(struct world *world, struct agenda_item *item)
{
    if (world->agenda_count == 0)
        return false;
    *item = world->agenda[0];
    struct agenda_item last = world->agenda[--world->agenda_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= world->agenda_count)
            break;
        if (child + 1 < world->agenda_count &&
            earlier(&world->agenda[child + 1], &world->agenda[child]))
            child++;
        if (!earlier(&world->agenda[child], &last))
            break;
        world->agenda[i] = world->agenda[child];
        i = child;
    }
    world->agenda[i] = last;
    world->now_ms = item->due_ms;
    return true;
}

void world_send(struct world *world, struct agenda_item item)
{
    unsigned copies = 1;
    if (!world->healed) {
        copies = world_chance(world, world->loss) ? 0 : 1;
        copies += world_chance(world, world->twice);
    }
    for (unsigned i = 0; i < copies; i++)
        world_plan(world, world_between(world, 1, world->healed ? 20 : world->delay_ms_max), item);
}

void world_digest(uint32_t site, uint32_t task, unsigned variant,
                  unsigned char digest[PLAN_HASH_BYTES])
{
    uint32_t words[3] = {site, task, variant};
    crypto_generichash(digest, PLAN_HASH_BYTES, (const unsigned char *)words, sizeof words, NULL,
                       0);
}
