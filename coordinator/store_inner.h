/* SPDX-License-Identifier: Apache-2.0 */
/* The store's own struct, shared by its files only. */
#ifndef CONSILIUM_COORDINATOR_STORE_INNER_H
#define CONSILIUM_COORDINATOR_STORE_INNER_H

#include "coordinator/store.h"
#include "proto/base/db.h"

struct store {
    struct db *db;
    const unsigned char *secret; /* borrowed */
    struct chain_head head;      /* with the entries of the open transaction */
    struct chain_head committed;
};

/* Reads the first column of one row as bytes; RESULT_INPUT "no <what>" when there is no row. */
struct result store_read_bytes(struct store *store, const char *sql, const struct db_value *values,
                               size_t n, const char *what, struct store_bytes *out,
                               struct why *why) MUST_CHECK;

#endif
