/* SPDX-License-Identifier: Apache-2.0 */
/* Privacy events: what was, or will be, released about a patient, as the accountant counts it. */
#ifndef CONSILIUM_PRIVACY_EVENT_H
#define CONSILIUM_PRIVACY_EVENT_H

#include <stddef.h>
#include <stdint.h>

/* Bounds on what a list may hold. */
enum {
    EVENT_LIST_MAX = 1024,   /* events in one list */
    EVENT_TEXT_MAX = 160,    /* bytes of one event as text, with the closing zero */
    EVENT_ERROR_MAX = 160,   /* bytes of a parse error, with the closing zero */
    EVENT_NUMBER_DIGITS = 17 /* significant digits that keep a double exact */
};
#define EVENT_STEPS_MAX UINT64_C(1000000000000) /* steps of one event */

/* How two neighbouring data sets differ. */
enum privacy_adjacency {
    ADJACENCY_ADD_REMOVE, /* one patient more or less (the default everywhere) */
    ADJACENCY_REPLACE     /* one patient exchanged for another */
};

enum event_kind {
    EVENT_GAUSSIAN,      /* g:q:sigma:T */
    EVENT_LAPLACE,       /* lap:b:T */
    EVENT_EPSILON_DELTA, /* ed:eps:delta:T */
    EVENT_TRUNCATED      /* trunc:N:q:B:sigma:T */
};

/* One mechanism of sensitivity 1, run `steps` times. */
struct privacy_event {
    enum event_kind kind;
    uint64_t steps;
    double q;       /* Gaussian, truncated: Poisson sampling rate in (0, 1] */
    double noise;   /* Gaussian, truncated: noise multiplier; Laplace: scale; 0 stands for '?' */
    double epsilon; /* generic */
    double delta;   /* generic, in [0, 1) */
    uint64_t population; /* truncated: public bound on the number of patients */
    uint64_t cap;        /* truncated: most patients in a batch */
};

/* Events in any order; composition does not depend on it. */
struct event_list {
    size_t count;
    struct privacy_event events[EVENT_LIST_MAX];
};

/* Reads "g:q:sigma:T|lap:b:T|ed:eps:delta:T|trunc:N:q:B:sigma:T"; '?' as a noise is kept as 0.
 * Returns 0, or -1 with a sentence in error[EVENT_ERROR_MAX]. */
int event_list_parse(struct event_list *list, const char *text, char *error);

/* Checks every field of every event (noise 0 is not allowed here). 0, or -1 with a sentence. */
int event_list_check(const struct event_list *list, char *error);

/* Adds an event, merging it with an equal mechanism. -1 when the list is full or the steps exceed
 * EVENT_STEPS_MAX; the list is then unchanged. */
int event_list_add(struct event_list *list, const struct privacy_event *event);

/* Adds all of `more`. -1 when it does not fit; the list is then unchanged. */
int event_list_append(struct event_list *list, const struct event_list *more);

/* Writes one event as text that event_list_parse reads back to the same bits. out[EVENT_TEXT_MAX].
 */
void event_text(const struct privacy_event *event, char *out);

/* Writes the whole list joined by '|' into out[size]; returns the length without the closing zero,
 * or -1 when it does not fit. */
long event_list_text(const struct event_list *list, char *out, size_t size);

#endif
