/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for patients' rows: kept out of swap and core dumps where the system lets us, between
 * guard pages, wiped when freed. */
#ifndef CONSILIUM_VAULT_LOCKED_H
#define CONSILIUM_VAULT_LOCKED_H

#include <stddef.h>

/* count zeroed elements; NULL when memory fails. Too little lockable memory (RLIMIT_MEMLOCK) is no
 * failure: the rows are then kept out of core dumps only, and counted by locked_missed. */
void *locked_calloc(size_t count, size_t each);
void locked_free(void *p); /* wipes; NULL is allowed */

/* Locks memory that comes from elsewhere; its owner wipes and frees it as ever. */
void locked_keep(const void *p, size_t bytes);

/* Bytes that were asked for and could not be locked, in this process. */
size_t locked_missed(void);

#endif
