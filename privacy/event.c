/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of privacy events: text form, checks, merging of equal mechanisms. */
#include "privacy/event.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 6, FIELD_BYTES = 64 };

struct fields {
    size_t count;
    char text[FIELDS_MAX][FIELD_BYTES];
};

static int complain(char *error, const char *what, const char *value)
{
    snprintf(error, EVENT_ERROR_MAX, "%s: '%.40s'", what, value);
    return -1;
}

static int read_double(const char *text, double *ret)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v))
        return -1;
    *ret = v;
    return 0;
}

/* A whole number; "1e4" is one too. */
static int read_count(const char *text, uint64_t *ret)
{
    double v;
    if (read_double(text, &v) != 0 || v < 0 || v > (double)EVENT_STEPS_MAX || v != floor(v))
        return -1;
    *ret = (uint64_t)v;
    return 0;
}

static int read_noise(const char *text, double *ret)
{
    if (strcmp(text, "?") == 0) {
        *ret = 0;
        return 0;
    }
    return read_double(text, ret) == 0 && *ret > 0 ? 0 : -1;
}

/* Splits [text, end) at ':' and trims blanks. */
static int split(const char *text, const char *end, struct fields *f)
{
    f->count = 0;
    while (text <= end) {
        const char *stop = memchr(text, ':', (size_t)(end - text));
        if (!stop)
            stop = end;
        const char *a = text, *b = stop;
        while (a < b && isspace((unsigned char)*a))
            a++;
        while (b > a && isspace((unsigned char)b[-1]))
            b--;
        size_t length = (size_t)(b - a);
        if (f->count == FIELDS_MAX || length >= FIELD_BYTES)
            return -1;
        memcpy(f->text[f->count], a, length);
        f->text[f->count++][length] = '\0';
        text = stop + 1;
    }
    return 0;
}

/* A known kind with too few or too many values, or an unknown one. */
static int wrong_form(const char *kind, char *error)
{
    static const char *const FORMS[] = {"g:q:sigma:T", "lap:b:T", "ed:eps:delta:T",
                                        "trunc:N:q:B:sigma:T"};
    char what[64];
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        size_t n = strcspn(FORMS[i], ":");
        if (strlen(kind) != n || strncmp(kind, FORMS[i], n) != 0)
            continue;
        snprintf(what, sizeof what, "such an event is written %s", FORMS[i]);
        return complain(error, what, kind);
    }
    return complain(error,
                    "known events are g:q:sigma:T, lap:b:T, ed:eps:delta:T, "
                    "trunc:N:q:B:sigma:T, not",
                    kind);
}

static int parse_one(const struct fields *f, struct privacy_event *e, char *error)
{
    *e = (struct privacy_event){0};
    const char *kind = f->text[0];
    const char *steps = f->text[f->count - 1];
    if (f->count < 3 && f->count > 1)
        return wrong_form(kind, error);
    if (f->count < 3)
        return complain(error, "an event has a kind and values, as in g:0.01:1.1:1000", kind);
    if (read_count(steps, &e->steps) != 0)
        return complain(error, "the number of steps is a whole number up to 1e12", steps);
    if (strcmp(kind, "g") == 0 && f->count == 4) {
        e->kind = EVENT_GAUSSIAN;
        if (read_double(f->text[1], &e->q) != 0)
            return complain(error, "the sampling rate is a number", f->text[1]);
        if (read_noise(f->text[2], &e->noise) != 0)
            return complain(error, "the noise multiplier is a positive number or ?", f->text[2]);
        return 0;
    }
    if (strcmp(kind, "lap") == 0 && f->count == 3) {
        e->kind = EVENT_LAPLACE;
        if (read_noise(f->text[1], &e->noise) != 0)
            return complain(error, "the Laplace scale is a positive number or ?", f->text[1]);
        return 0;
    }
    if (strcmp(kind, "ed") == 0 && f->count == 4) {
        e->kind = EVENT_EPSILON_DELTA;
        if (read_double(f->text[1], &e->epsilon) != 0)
            return complain(error, "epsilon is a number", f->text[1]);
        if (read_double(f->text[2], &e->delta) != 0)
            return complain(error, "delta is a number", f->text[2]);
        return 0;
    }
    if (strcmp(kind, "trunc") == 0 && f->count == 6) {
        e->kind = EVENT_TRUNCATED;
        if (read_count(f->text[1], &e->population) != 0)
            return complain(error, "the number of patients is a whole number", f->text[1]);
        if (read_double(f->text[2], &e->q) != 0)
            return complain(error, "the sampling rate is a number", f->text[2]);
        if (read_count(f->text[3], &e->cap) != 0)
            return complain(error, "the batch cap is a whole number", f->text[3]);
        if (read_noise(f->text[4], &e->noise) != 0)
            return complain(error, "the noise multiplier is a positive number or ?", f->text[4]);
        return 0;
    }
    return wrong_form(kind, error);
}

/* Negated comparisons so that NaN is refused too. */
static int check_one(const struct privacy_event *e, char *error)
{
    char text[EVENT_TEXT_MAX];
    event_text(e, text);
    if (e->steps == 0 || e->steps > EVENT_STEPS_MAX)
        return complain(error, "the number of steps is between 1 and 1e12", text);
    bool gaussian = e->kind == EVENT_GAUSSIAN || e->kind == EVENT_TRUNCATED;
    if (gaussian && !(e->q > 0 && e->q <= 1))
        return complain(error, "the sampling rate is above 0 and at most 1", text);
    if (e->kind != EVENT_EPSILON_DELTA && !(e->noise >= 1e-3 && e->noise <= 1e9))
        return complain(error, "noise is between 1e-3 and 1e9", text);
    if (e->kind == EVENT_EPSILON_DELTA &&
        !(e->epsilon >= 0 && e->epsilon <= 1e3 && e->delta >= 0 && e->delta < 1))
        return complain(error, "epsilon is between 0 and 1000 and delta in [0, 1)", text);
    if (e->kind == EVENT_TRUNCATED &&
        (e->population < 2 || e->cap == 0 || e->population > UINT64_C(1000000000)))
        return complain(error, "patients are 2 to 1e9 and the batch cap at least 1", text);
    return 0;
}

int event_list_check(const struct event_list *list, char *error)
{
    if (list->count == 0 || list->count > EVENT_LIST_MAX)
        return complain(error, "a list holds 1 to 1024 events", "");
    for (size_t i = 0; i < list->count; i++) {
        if (check_one(&list->events[i], error) != 0)
            return -1;
    }
    return 0;
}

static bool same_mechanism(const struct privacy_event *a, const struct privacy_event *b)
{
    return a->kind == b->kind && a->q == b->q && a->noise == b->noise && a->epsilon == b->epsilon &&
           a->delta == b->delta && a->population == b->population && a->cap == b->cap;
}

int event_list_add(struct event_list *list, const struct privacy_event *event)
{
    for (size_t i = 0; i < list->count; i++) {
        struct privacy_event *e = &list->events[i];
        if (!same_mechanism(e, event))
            continue;
        if (event->steps > EVENT_STEPS_MAX - e->steps)
            return -1;
        e->steps += event->steps;
        return 0;
    }
    if (list->count >= EVENT_LIST_MAX)
        return -1;
    list->events[list->count++] = *event;
    return 0;
}

int event_list_append(struct event_list *list, const struct event_list *more)
{
    struct event_list *merged = malloc(sizeof *merged);
    if (!merged)
        return -1;
    memcpy(merged, list, sizeof *merged);
    int rc = 0;
    for (size_t i = 0; i < more->count && rc == 0; i++)
        rc = event_list_add(merged, &more->events[i]);
    if (rc == 0)
        memcpy(list, merged, sizeof *list);
    free(merged);
    return rc;
}

int event_list_parse(struct event_list *list, const char *text, char *error)
{
    list->count = 0;
    error[0] = '\0';
    for (;;) {
        size_t length = strcspn(text, "|");
        struct fields f;
        struct privacy_event e;
        if (split(text, text + length, &f) != 0)
            return complain(error, "an event has at most six values of 63 characters", text);
        if (parse_one(&f, &e, error) != 0)
            return -1;
        if (event_list_add(list, &e) != 0)
            return complain(error, "a list holds at most 1024 events of 1e12 steps", text);
        if (text[length] == '\0')
            return 0;
        text += length + 1;
    }
}

/* Shortest decimal that reads back to the same bits. */
static const char *number(double v, char out[32])
{
    for (int digits = 1; digits <= EVENT_NUMBER_DIGITS; digits++) {
        snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    return out;
}

static const char *noise_text(double v, char out[32])
{
    return v == 0 ? "?" : number(v, out);
}

void event_text(const struct privacy_event *e, char *out)
{
    char a[32], b[32];
    unsigned long long steps = e->steps, population = e->population, cap = e->cap;
    switch (e->kind) {
    case EVENT_GAUSSIAN:
        snprintf(out, EVENT_TEXT_MAX, "g:%s:%s:%llu", number(e->q, a), noise_text(e->noise, b),
                 steps);
        break;
    case EVENT_LAPLACE:
        snprintf(out, EVENT_TEXT_MAX, "lap:%s:%llu", noise_text(e->noise, a), steps);
        break;
    case EVENT_EPSILON_DELTA:
        snprintf(out, EVENT_TEXT_MAX, "ed:%s:%s:%llu", number(e->epsilon, a), number(e->delta, b),
                 steps);
        break;
    case EVENT_TRUNCATED:
        snprintf(out, EVENT_TEXT_MAX, "trunc:%llu:%s:%llu:%s:%llu", population, number(e->q, a),
                 cap, noise_text(e->noise, b), steps);
        break;
    }
}

long event_list_text(const struct event_list *list, char *out, size_t size)
{
    size_t used = 0;
    if (size == 0)
        return -1;
    out[0] = '\0';
    for (size_t i = 0; i < list->count; i++) {
        char text[EVENT_TEXT_MAX];
        event_text(&list->events[i], text);
        int n = snprintf(out + used, size - used, "%s%s", i ? "|" : "", text);
        if (n < 0 || (size_t)n >= size - used)
            return -1;
        used += (size_t)n;
    }
    return (long)used;
}
