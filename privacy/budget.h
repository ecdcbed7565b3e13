/* SPDX-License-Identifier: Apache-2.0 */
/* One site's privacy budget across plans, studies and years: decides whether a plan fits, and keeps
 * the account as a chain of text records. Pure: no file, no clock; whoever holds the file writes a
 * record and syncs it before the first step of what it pays for, then applies it here.
 *
 * A plan's parameters may depend on what earlier plans released, so plans are added up by a Renyi
 * filter at one order a, fixed with the first charge (Feldman and Zrnic 2021, arXiv 2008.11193):
 * with limit = epsilon - ln(1 - 1/a) + ln(delta a) / (a - 1) a plan is accepted iff spent +
 * rho(plan) <= limit. Inside one plan everything is fixed beforehand, so its own claim is the
 * accountant's.
 *
 * Invariants: spent never falls; spent <= limit; a whole plan is charged before its first step; a
 * refusal changes nothing; the same records give the same state. */
#ifndef CONSILIUM_PRIVACY_BUDGET_H
#define CONSILIUM_PRIVACY_BUDGET_H

#include "privacy/event.h"

#include <stddef.h>
#include <stdint.h>

enum {
    BUDGET_RECORD_MAX = 16384, /* bytes of a record, with the closing zero, without a newline */
    BUDGET_NAME_MAX = 72,      /* bytes of a study's or purpose's name, with the closing zero */
    BUDGET_TEXT_MAX = 384,     /* bytes of a sentence, with the closing zero */
    BUDGET_HASH_BYTES = 32
};

struct budget {
    double epsilon, delta; /* of the whole ledger */
    int order;             /* 0 until the first charge */
    double limit, spent;   /* divergence at the order */
    uint64_t records;      /* applied so far, the opening one included; 0: not opened */
    unsigned char head[BUDGET_HASH_BYTES]; /* hash of the last record */
    struct event_list charged;             /* every event paid for */
};

/* What is to be paid. Names are 1 to 71 characters of A-Z a-z 0-9 . _ - */
struct budget_charge {
    const char *study;
    const char *purpose; /* training, metrics, counts, normalisation, ... */
    uint64_t time_ms;    /* since 1970, UTC */
    const struct event_list *events;
};

enum budget_verdict {
    BUDGET_ACCEPTED,
    BUDGET_REFUSED, /* it does not fit; the answer says what is left and what would */
    BUDGET_INVALID, /* a name, an event or a number is out of range, or not opened */
};

struct budget_answer {
    double rho;          /* of the charge, at the order */
    int order;           /* in force, or the one this first charge would fix */
    double spent_before; /* epsilon at the ledger's delta, by the filter */
    double spent_after;  /* epsilon if it were accepted; infinite when no order allows it */
    double
        noise_factor;  /* refused: multiply every noise by this and it fits; NAN if nothing does */
    double step_share; /* refused: share of every event's steps that would fit */
    char text[BUDGET_TEXT_MAX]; /* one sentence for a human */
};

/* Writes the record that opens a ledger. delta in (0, 0.1], epsilon in (0, 100]; -1 otherwise. */
int budget_open(double epsilon, double delta, uint64_t time_ms, char record[BUDGET_RECORD_MAX]);

/* Decides, changes nothing. On BUDGET_ACCEPTED writes the record to be stored. record may be NULL
 * to ask only. */
enum budget_verdict budget_decide(const struct budget *budget, const struct budget_charge *charge,
                                  struct budget_answer *answer, char *record);

/* Applies a stored record (without newline) to the state: checks its form, its place in the chain,
 * its hash and its arithmetic. 0, or -1 with a sentence in error[BUDGET_TEXT_MAX]; the state is
 * then unchanged. Start from a zeroed struct. */
int budget_apply(struct budget *budget, const char *record, char *error);

/* epsilon spent so far at the ledger's delta by a patient who is in `sites` such ledgers. */
double budget_epsilon(const struct budget *budget, int sites);

/* epsilon of everything charged had all plans been fixed in advance, by the accountant; for
 * printing beside the filter's, never for deciding. NAN when the accountant cannot tell. */
double budget_epsilon_in_advance(const struct budget *budget);

#endif
