/* SPDX-License-Identifier: Apache-2.0 */
/* One hostile site of a simulated study: it gathers the honest updates of the round, remembers its
 * own, and sends what the gallery forges. With momentum per site it keeps the coordinator's books
 * of everybody's momentum, forges the row that the rule shall see, and sends the update that makes
 * it. */
#include "coordinator/cli/simulate_attack.h"

#include "coordinator/aggregate/attack.h"
#include "coordinator/aggregate/momentum.h"
#include "privacy/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = PLAN_SITES_MAX, STALE_ROUNDS = 5 };

struct books {
    char site[PLAN_NAME_BYTES];
    struct momentum momentum; /* state NULL: unused */
};

struct attack {
    struct attack_choice choice;
    struct attack_kind kind;
    const char *hostile;
    double beta; /* momentum that the attack reckons with, or 0 */
    struct books books[PLAN_SITES_MAX];
    size_t rows; /* of honest sites in this round, as the rule sees them */
    float *row[ROWS_MAX];
    bool acted;                /* the hostile site has sent in this round */
    float *first;              /* what it would have sent in its first round */
    float *past[STALE_ROUNDS]; /* ring */
    size_t rounds;
    struct rng rng;
};

static struct attack_kind kind_of(const struct attack_line *line)
{
    return (struct attack_kind){
        .name = line->name,
        .summary = line->summary,
        .poison = line->method == ATTACK_LABEL_FLIP ? POISON_LABELS
                  : line->method == ATTACK_BACKDOOR ? POISON_TRIGGER
                                                    : POISON_NONE,
        .declares = line->method == ATTACK_INFLATED_WEIGHT ? (unsigned)line->strength : 0,
    };
}

const struct attack_kind *attack_kinds(void)
{
    static struct attack_kind kinds[ATTACK_METHODS];
    for (size_t i = 1; i < ATTACK_METHODS; i++)
        kinds[i - 1] = kind_of(&ATTACK_GALLERY[i]);
    return kinds;
}

static const unsigned char SEED[RNG_KEY_BYTES] = "consilium attack";

struct result attack_create(const char *name, const char *hostile, double site_momentum,
                            struct attack **ret_attack, struct why *why)
{
    struct attack_choice choice;
    TRY(attack_parse(name, &choice, why));
    struct attack *attack = calloc(1, sizeof *attack);
    if (!attack)
        return failed(why, RESULT_SYSTEM, "out of memory");
    attack->choice = choice;
    attack->kind = kind_of(&ATTACK_GALLERY[choice.method]);
    attack->hostile = hostile;
    attack->beta = attack_measures(&choice) ? site_momentum : 0;
    rng_init_seeded(&attack->rng, SEED, 0);
    *ret_attack = attack;
    return DONE;
}

void attack_free(struct attack *attack)
{
    if (!attack)
        return;
    for (size_t i = 0; i < ROWS_MAX; i++)
        free(attack->row[i]);
    for (size_t i = 0; i < PLAN_SITES_MAX; i++)
        free(attack->books[i].momentum.state);
    for (size_t i = 0; i < STALE_ROUNDS; i++)
        free(attack->past[i]);
    free(attack->first);
    free(attack);
}

const struct attack_kind *attack_kind(const struct attack *attack)
{
    return &attack->kind;
}

static bool keep(float **slot, const float *update, size_t n)
{
    if (!*slot)
        *slot = malloc((n ? n : 1) * sizeof **slot);
    if (*slot)
        memcpy(*slot, update, n * sizeof **slot);
    return *slot != NULL;
}

/* The site's momentum before this round, or NULL when memory is short. */
static struct momentum *books_of(struct attack *a, const char *site, size_t n)
{
    size_t i = 0;
    while (i < PLAN_SITES_MAX && a->books[i].momentum.state && strcmp(a->books[i].site, site) != 0)
        i++;
    if (i == PLAN_SITES_MAX)
        return NULL;
    struct books *books = &a->books[i];
    if (!books->momentum.state) {
        snprintf(books->site, sizeof books->site, "%s", site);
        books->momentum = (struct momentum){.d = n, .state = calloc(n, sizeof(float))};
    }
    return books->momentum.state && books->momentum.d == n ? &books->momentum : NULL;
}

/* From the row that the rule shall see to the update to send, and the books kept. */
static void reach(struct attack *a, float *update, size_t n)
{
    struct momentum *self = books_of(a, a->hostile, n);
    float *row = malloc((n ? n : 1) * sizeof *row);
    if (self && row) {
        momentum_reach(self, a->beta, update, update);
        momentum_step(self, a->beta, update, row);
    }
    free(row);
}

/* Forges the hostile site's update in place. */
static void act(struct attack *a, float *update, size_t n)
{
    float **slot = &a->past[a->rounds % STALE_ROUNDS];
    float *stale = *slot; /* of STALE_ROUNDS ago, when there is one */
    *slot = NULL;
    bool kept = keep(slot, update, n);
    if (!a->first)
        kept = keep(&a->first, update, n) && kept;
    struct attack_view view = {
        .n = a->rows + 1,
        .f = 1,
        .d = n,
        .honest_count = a->rows,
        .honest = (const float *const *)a->row,
        .own = update,
        .own_before = a->choice.method == ATTACK_REPLAY ? a->first : stale,
    };
    /* Short of memory it stays honest. */
    if (kept && attack_forge(&a->choice, &view, &a->rng, update) && a->beta > 0)
        reach(a, update, n);
    free(stale);
}

void attack_tamper(void *context, const char *site, float *update, size_t n)
{
    struct attack *a = context;
    if (strcmp(site, a->hostile) == 0) {
        if (n > 0 && a->rows > 0)
            act(a, update, n);
        a->acted = true;
        a->rounds++;
        return;
    }
    if (a->acted) {
        a->acted = false;
        a->rows = 0;
    }
    if (a->rows == ROWS_MAX || !keep(&a->row[a->rows], update, n))
        return;
    float *row = a->row[a->rows++];
    struct momentum *momentum = a->beta > 0 ? books_of(a, site, n) : NULL;
    if (momentum)
        momentum_step(momentum, a->beta, row, row);
}
