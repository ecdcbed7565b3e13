/* SPDX-License-Identifier: Apache-2.0 */
/* KEY=VALUE arguments of benches. */
#ifndef CONSILIUM_TESTS_BENCH_OPTIONS_H
#define CONSILIUM_TESTS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Where the number of a key goes: one of the two. */
struct bench_key {
    const char *key;
    double *number;
    unsigned *count;
};

/* "KEY=NUMBER" of one of keys[n]; false for anything else. */
bool bench_set_number(const struct bench_key *keys, size_t n, const char *pair);

/* Whether name is one of the names in list, by commas; NULL lists all. */
bool bench_listed(const char *list, const char *name);

#endif
