/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the coordinator's store, as append-only migrations. */
#ifndef CONSILIUM_COORDINATOR_STORE_SCHEMA_H
#define CONSILIUM_COORDINATOR_STORE_SCHEMA_H

extern const char *const STORE_MIGRATIONS[];
extern const unsigned STORE_MIGRATIONS_COUNT;

#endif
