/* SPDX-License-Identifier: Apache-2.0 */
/* Scope-bound release: CLEANUP(free_pointer) char *p = NULL; */
#ifndef CONSILIUM_BASE_CLEANUP_H
#define CONSILIUM_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((unused, cleanup(function)))

static inline void free_pointer(void *p)
{
    free(*(void **)p);
}

static inline void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void close_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

/* Hands the pointer to the caller and disarms the cleanup. */
#define TAKE(pointer)                                                                              \
    __extension__({                                                                                \
        __auto_type taken_ = (pointer);                                                            \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#endif
