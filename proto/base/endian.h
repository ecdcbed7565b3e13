/* SPDX-License-Identifier: Apache-2.0 */
/* Whole numbers as little-endian bytes, for layouts that are written down. */
#ifndef CONSILIUM_BASE_ENDIAN_H
#define CONSILIUM_BASE_ENDIAN_H

#include <stdint.h>

/* Writes the lowest bytes (1 to 8) of value, the lowest first. */
static inline void little_put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

/* The number that little_put wrote. */
static inline uint64_t little_get(const unsigned char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

#endif
