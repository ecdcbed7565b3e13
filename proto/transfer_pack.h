/* SPDX-License-Identifier: Apache-2.0 */
/* The packed form in which a model may be encrypted: byte planes and zstd (compress/planes.h) over
 * its plaintext as it lies, filled up with zeros to a multiple of four bytes.
 *
 * Hashes and replay see the plaintext only, so another release of zstd changes sizes, never names.
 * Packing hides nothing and comes before sealing; a model holds no text that a reader chooses, so
 * its length tells no secret. */
#ifndef CONSILIUM_TRANSFER_PACK_H
#define CONSILIUM_TRANSFER_PACK_H

#include "proto/base/result.h"

#include <stddef.h>

/* Allocates *ret_packed (owned by the caller, free). NULL and *ret_n 0 where it would not be
 * smaller than the n plain bytes. */
struct result transfer_pack(const unsigned char *plain, size_t n, unsigned char **ret_packed,
                            size_t *ret_n, struct why *why) MUST_CHECK;

/* Unpacks hostile bytes that must hold exactly n bytes into *ret_plain (owned by the caller, free;
 * at least one byte more). RESULT_INPUT with the reason. Memory: 2 n bytes whatever they claim. */
struct result transfer_unpack(const unsigned char *packed, size_t packed_n, size_t n,
                              unsigned char **ret_plain, struct why *why) MUST_CHECK;

#endif
