/* SPDX-License-Identifier: Apache-2.0 */
/* Fingerprints as words that two people read to each other over the telephone. */
#ifndef CONSILIUM_WORDS_H
#define CONSILIUM_WORDS_H

enum {
    WORDS_FINGERPRINT_BYTES = 32, /* BLAKE2b-256 */
    WORDS_COUNT = 8,              /* words spoken: the first 8 bytes, 64 bits */
    WORDS_LENGTH_MAX = 7,         /* letters of a word */
    WORDS_BYTES = WORDS_COUNT * (WORDS_LENGTH_MAX + 1),
};

/* "amber tiger ..." of the fingerprint's first WORDS_COUNT bytes, one word for each. */
void words_of(char out[WORDS_BYTES], const unsigned char fingerprint[WORDS_FINGERPRINT_BYTES]);

/* The word for one byte: lower-case letters, distinct in their first four. */
const char *words_for_byte(unsigned char byte);

#endif
