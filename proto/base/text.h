/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers on words, for messages to humans. */
#ifndef CONSILIUM_BASE_TEXT_H
#define CONSILIUM_BASE_TEXT_H

/* Levenshtein distance of two words, of which the first 31 bytes count. */
int text_distance(const char *a, const char *b);

#endif
