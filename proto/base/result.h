/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as values: a code grouped by what the caller can do, and a sentence for a human. */
#ifndef CONSILIUM_BASE_RESULT_H
#define CONSILIUM_BASE_RESULT_H

#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))

enum result_code {
    RESULT_OK = 0,
    RESULT_INPUT,   /* what was given is wrong: tell whoever gave it */
    RESULT_REFUSED, /* well-formed, but policy, protocol or budget says no */
    RESULT_AGAIN,   /* not now: try later */
    RESULT_SYSTEM,  /* the machine failed: disk, memory, network */
};

/* A struct, so that it cannot be mistaken for a bool or an int. */
struct result {
    enum result_code code;
};

enum { WHY_BYTES = 512 };

/* One sentence for a human: what is wrong, where, what to do. Owned by the caller. */
struct why {
    char text[WHY_BYTES];
};

#define DONE ((struct result){RESULT_OK})

static inline bool ok(struct result r)
{
    return r.code == RESULT_OK;
}

/* Writes the sentence (cut at WHY_BYTES - 1) into why, which may be NULL, and returns the code. */
struct result failed(struct why *why, enum result_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4))) MUST_CHECK;

/* Prefixes "context: " to the sentence already in why; returns r unchanged. */
struct result failed_in(struct why *why, struct result r, const char *format, ...)
    __attribute__((format(printf, 3, 4))) MUST_CHECK;

#define TRY(expression)                                                                            \
    do {                                                                                           \
        struct result try_result_ = (expression);                                                  \
        if (!ok(try_result_))                                                                      \
            return try_result_;                                                                    \
    } while (0)

#endif
