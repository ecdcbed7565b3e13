/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target defines: one run over hostile bytes, which must neither crash nor break
 * the target's own assertions. Always returns 0. */
#ifndef CONSILIUM_TESTS_FUZZ_H
#define CONSILIUM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
