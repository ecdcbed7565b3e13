/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, texts and blocks in a row of bytes, little-endian, bounded: bodies between agent and
 * vault, records of the ledger. */
#ifndef CONSILIUM_AGENT_BYTES_H
#define CONSILIUM_AGENT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes to read from, borrowed. Any read beyond the end sets bad and yields zeros. */
struct bytes_in {
    const unsigned char *at;
    size_t left;
    bool bad;
};

uint32_t bytes_in_u32(struct bytes_in *in);
uint64_t bytes_in_u64(struct bytes_in *in);
double bytes_in_double(struct bytes_in *in);
void bytes_in_bytes(struct bytes_in *in, void *out, size_t n);
/* A zero-terminated name within size bytes of out. */
void bytes_in_text(struct bytes_in *in, char *out, size_t size);
/* A length and that many bytes, at most limit; borrowed. */
const unsigned char *bytes_in_block(struct bytes_in *in, size_t limit, size_t *ret_n);

/* Bytes that grow. bad after a failed allocation; bytes is owned (free). Zero-initialise. */
struct bytes_out {
    unsigned char *bytes;
    size_t n, capacity;
    bool bad;
};

void bytes_out_u32(struct bytes_out *out, uint32_t value);
void bytes_out_u64(struct bytes_out *out, uint64_t value);
void bytes_out_double(struct bytes_out *out, double value);
void bytes_out_bytes(struct bytes_out *out, const void *bytes, size_t n);
void bytes_out_text(struct bytes_out *out, const char *text);
void bytes_out_block(struct bytes_out *out, const void *bytes, size_t n);

#endif
