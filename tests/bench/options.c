/* SPDX-License-Identifier: Apache-2.0 */
/* KEY=VALUE arguments of benches. */
#include "tests/bench/options.h"

#include <stdlib.h>
#include <string.h>

bool bench_set_number(const struct bench_key *keys, size_t n, const char *pair)
{
    const char *value = strchr(pair, '=');
    char *end = NULL;
    if (!value)
        return false;
    size_t length = (size_t)(value - pair);
    double x = strtod(value + 1, &end);
    for (size_t i = 0; i < n && *end == '\0'; i++) {
        if (strlen(keys[i].key) != length || strncmp(pair, keys[i].key, length) != 0)
            continue;
        if (keys[i].number)
            *keys[i].number = x;
        else
            *keys[i].count = (unsigned)x;
        return true;
    }
    return false;
}

bool bench_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || !at[length]))
            return true;
    }
    return !list;
}
