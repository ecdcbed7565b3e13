/* SPDX-License-Identifier: Apache-2.0 */
/* Newer patients by the epoch in which each was first there.
 *
 * f(p) is the first epoch that holds p. Asked about: F = {p in K : f(p) > after}, K the chosen
 * holdout. Earlier answers: S(m, b) = {p in K_m : f(p) > b}, b < m. With a(v), o(v) and t(v) the
 * patients first there in epoch v that are in both K and K_m, in K only, in K_m only:
 *   |F symmetric difference S(m, b)| = sum_v o(v)[v > after] + t(v)[v > b] + a(v)[v > after xor v >
 * b], so one pass over the patients serves every b. */
#include "agent/vault/epoch_newer.h"

#include "proto/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* All patients of the line so far, ascending, with the first epoch of each. */
struct seen {
    size_t n;
    uint64_t *patient; /* [n] owned */
    uint32_t *first;   /* [n] owned */
};

static void seen_free(struct seen *seen)
{
    free(seen->patient);
    free(seen->first);
}

static struct result no_memory(struct why *why)
{
    return failed(why, RESULT_SYSTEM, "no memory for the newer patients of a holdout");
}

/* Takes in an epoch's patients; those that were there before keep their number. */
static bool see(struct seen *seen, const uint64_t *patients, size_t n, uint32_t number)
{
    struct seen more = {.patient = malloc((seen->n + n + 1) * sizeof *more.patient),
                        .first = malloc((seen->n + n + 1) * sizeof *more.first)};
    size_t i = 0, j = 0;
    if (!more.patient || !more.first) {
        seen_free(&more);
        return false;
    }
    while (i < seen->n || j < n) {
        bool old = i < seen->n && (j == n || seen->patient[i] <= patients[j]);
        bool both = old && j < n && seen->patient[i] == patients[j];
        more.patient[more.n] = old ? seen->patient[i] : patients[j];
        more.first[more.n++] = old ? seen->first[i] : number;
        i += old;
        j += !old || both;
    }
    seen_free(seen);
    *seen = more;
    return true;
}

/* An epoch of the line, or the holdout that would become one. */
struct side {
    uint32_t number;
    const uint64_t *patients;
    size_t n;
};

static bool holds(const struct side *side, uint64_t patient, size_t *at)
{
    while (*at < side->n && side->patients[*at] < patient)
        ++*at;
    return *at < side->n && side->patients[*at] == patient;
}

/* Numbers of patients by their first epoch: in both, in the asked one only, in the other only. */
struct tally {
    size_t both, only, other;
};

/* Whether F keeps its distance from S(m, b) for every b below m's number. tally [last + 1]. */
static bool apart(const struct seen *seen, const struct side *asked, const struct side *m,
                  uint32_t after, uint32_t last, unsigned cell, struct tally *tally)
{
    size_t at_asked = 0, at_m = 0, difference = 0;
    memset(tally, 0, (last + 1) * sizeof *tally);
    for (size_t i = 0; i < seen->n; i++) {
        bool in = holds(asked, seen->patient[i], &at_asked),
             there = holds(m, seen->patient[i], &at_m);
        struct tally *t = &tally[seen->first[i]];
        t->both += in && there;
        t->only += in && !there;
        t->other += !in && there;
    }
    for (uint32_t v = 1; v <= last; v++) /* b = 0 */
        difference += (v > after ? tally[v].only : tally[v].both) + tally[v].other;
    for (uint32_t b = 0; b < m->number; b++) {
        if (b > 0) {
            difference -= tally[b].other;
            difference = b > after ? difference + tally[b].both : difference - tally[b].both;
        }
        if (difference > 0 && difference < cell)
            return false;
    }
    return true;
}

/* The line's epochs in their order and, if it is none of them, the asked one at the end. */
static size_t sides_of(const struct epoch_book *book, const char *line, const struct side *asked,
                       struct side *sides)
{
    size_t n = 0;
    for (size_t i = 0; i < book->epochs_count; i++) {
        const struct epoch *e = &book->epochs[i];
        if (strcmp(e->line, line) == 0)
            sides[n++] = (struct side){e->number, e->patients, e->n};
    }
    if (n < asked->number)
        sides[n++] = *asked;
    return n;
}

static enum newer_fate pick(const struct seen *seen, const struct side *asked, uint32_t after,
                            unsigned cell, uint64_t *patients, size_t *ret_n)
{
    size_t at = 0, n = 0;
    for (size_t i = 0; i < seen->n; i++)
        if (holds(asked, seen->patient[i], &at) && seen->first[i] > after)
            patients[n++] = seen->patient[i];
    *ret_n = n;
    return n == 0 ? NEWER_NONE : n < cell ? NEWER_FEW : NEWER_SOME;
}

struct result epoch_newer(const struct epoch_book *book, const char *line,
                          const struct epoch_choice *choice, uint32_t after, unsigned cell,
                          uint64_t **ret_patients, size_t *ret_n, enum newer_fate *ret_fate,
                          struct why *why)
{
    const struct side asked = {choice->number, choice->kept, choice->kept_n};
    CLEANUP(free_pointer) struct side *sides = calloc(book->epochs_count + 1, sizeof *sides);
    CLEANUP(free_pointer) uint64_t *patients = malloc((asked.n + 1) * sizeof *patients);
    CLEANUP(seen_free) struct seen seen = {0};
    if (!sides || !patients)
        return no_memory(why);
    size_t n = sides_of(book, line, &asked, sides);
    uint32_t last = n > 0 ? sides[n - 1].number : 0;
    for (size_t i = 0; i < n; i++)
        if (!see(&seen, sides[i].patients, sides[i].n, sides[i].number))
            return no_memory(why);
    *ret_fate = pick(&seen, &asked, after, cell, patients, ret_n);
    CLEANUP(free_pointer) struct tally *tally = calloc((size_t)last + 1, sizeof *tally);
    if (!tally)
        return no_memory(why);
    for (size_t i = 0; i < n && *ret_fate == NEWER_SOME; i++)
        if (!apart(&seen, &asked, &sides[i], after, last, cell, tally))
            *ret_fate = NEWER_TOO_CLOSE;
    *ret_patients = TAKE(patients);
    return DONE;
}
