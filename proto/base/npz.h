/* SPDX-License-Identifier: Apache-2.0 */
/* Several float32 arrays in NumPy's .npz: a zip archive of .npy files, stored without compression.
 */
#ifndef CONSILIUM_BASE_NPZ_H
#define CONSILIUM_BASE_NPZ_H

#include "proto/base/result.h"

#include <stddef.h>

enum { NPZ_ARRAYS_MAX = 1024, NPZ_NAME_BYTES = 64 };

struct npz_array {
    char name[NPZ_NAME_BYTES]; /* "layer1.weight"; no folder, no ".npy" */
    int dimensions;            /* 1: [columns]; 2: [rows][columns] */
    size_t rows, columns;
    const float *values; /* borrowed */
};

/* Writes path anew. RESULT_INPUT for more than NPZ_ARRAYS_MAX arrays or 4 GiB, RESULT_SYSTEM when
 * the disk says no; a half-written file is removed. */
struct result npz_write(const char *path, const struct npz_array *arrays, size_t n,
                        struct why *why) MUST_CHECK;

#endif
