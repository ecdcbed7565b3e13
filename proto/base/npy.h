/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays in NumPy's .npy files: float32 or float64, C order, one or two dimensions. */
#ifndef CONSILIUM_BASE_NPY_H
#define CONSILIUM_BASE_NPY_H

#include "proto/base/result.h"

#include <stddef.h>

enum {
    NPY_HEADER_MAX = 4096,      /* bytes of the header's text */
    NPY_ELEMENTS_LOG2_MAX = 36, /* elements of one array, as a power of two */
};

/* A file mapped read-only. Exactly one of f32 and f64 is set (both NULL when it has no element). */
struct npy {
    size_t rows; /* 1 for a one-dimensional array */
    size_t columns;
    int dimensions; /* 1 or 2 */
    const float *f32;
    const double *f64;
    void *map;
    size_t map_bytes;
};

/* Maps the array in path; npy_close releases it. RESULT_INPUT with the reason when the file is
 * missing or is not such an array: the header is parsed within its bounds and the file must hold
 * exactly the elements that the shape says. */
struct result npy_open(const char *path, struct npy *npy, struct why *why) MUST_CHECK;
void npy_close(struct npy *npy);

/* Writes rows x columns elements of 4 or 8 bytes (element_bytes) to path, of which it replaces any
 * content; dimensions 1 drops the rows (which must be 1). RESULT_SYSTEM when the disk says no. */
struct result npy_write(const char *path, int dimensions, size_t rows, size_t columns,
                        size_t element_bytes, const void *values, struct why *why) MUST_CHECK;

#endif
