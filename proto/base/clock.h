/* SPDX-License-Identifier: Apache-2.0 */
/* The only clocks: one for what is told to others, one for waiting. */
#ifndef CONSILIUM_BASE_CLOCK_H
#define CONSILIUM_BASE_CLOCK_H

#include <stdint.h>

/* Unix time in ms; may jump when the machine's clock is set. */
uint64_t clock_unix_ms(void);

/* ms since some start; never goes back. For intervals and timers only. */
uint64_t clock_monotonic_ms(void);

#endif
