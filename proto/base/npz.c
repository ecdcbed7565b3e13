/* SPDX-License-Identifier: Apache-2.0 */
/* .npz: local headers and data, then the central directory. PKWARE APPNOTE 6.3, sections 4.3.7,
 * 4.3.12, 4.3.16; NumPy's format version 1.0 inside. Little endian, as x86-64 and aarch64 are. */
#include "proto/base/npz.h"

#include "proto/base/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    NPY_ALIGN = 64,
    NPY_PREFIX = 10, /* magic, version, length */
    HEADER_MAX = 256,
    DATE_1980 = 0x21, /* 1 January 1980: equal models give equal files */
};

struct entry {
    char name[NPZ_NAME_BYTES + 4];
    uint32_t crc, size, offset;
};

static void put16(unsigned char **p, uint32_t v)
{
    *(*p)++ = (unsigned char)v;
    *(*p)++ = (unsigned char)(v >> 8);
}

static void put32(unsigned char **p, uint32_t v)
{
    put16(p, v & 0xffff);
    put16(p, v >> 16);
}

/* CRC-32 of ISO-HDLC, bit by bit over a table of 256. */
static uint32_t crc32_add(uint32_t crc, const void *bytes, size_t n)
{
    static uint32_t table[256];
    if (table[1] == 0) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
            table[i] = c;
        }
    }
    const unsigned char *p = bytes;
    crc = ~crc;
    for (size_t i = 0; i < n; i++)
        crc = table[(crc ^ p[i]) & 0xff] ^ (crc >> 8);
    return ~crc;
}

static size_t npy_header(const struct npz_array *a, char out[HEADER_MAX])
{
    char text[HEADER_MAX];
    int n =
        a->dimensions == 1
            ? snprintf(text, sizeof text,
                       "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu,), }", a->columns)
            : snprintf(text, sizeof text,
                       "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", a->rows,
                       a->columns);
    size_t total = NPY_PREFIX + (size_t)n + 1;
    total = (total + NPY_ALIGN - 1) / NPY_ALIGN * NPY_ALIGN;
    memset(out, ' ', total);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)((total - NPY_PREFIX) & 0xff);
    out[9] = (char)((total - NPY_PREFIX) >> 8);
    memcpy(out + NPY_PREFIX, text, (size_t)n);
    out[total - 1] = '\n';
    return total;
}

/* The fields that local header and directory share. */
static void put_common(unsigned char **p, const struct entry *e)
{
    put16(p, 20); /* version needed */
    put16(p, 0);  /* flags */
    put16(p, 0);  /* stored */
    put16(p, 0);  /* time */
    put16(p, DATE_1980);
    put32(p, e->crc);
    put32(p, e->size);
    put32(p, e->size);
    put16(p, (uint32_t)strlen(e->name));
    put16(p, 0); /* extra */
}

static bool write_array(FILE *file, const struct npz_array *a, struct entry *e, uint64_t *offset)
{
    char header[HEADER_MAX];
    unsigned char local[LOCAL_BYTES], *p = local;
    size_t header_n = npy_header(a, header);
    size_t data_n = a->rows * a->columns * sizeof *a->values;
    snprintf(e->name, sizeof e->name, "%.*s.npy", NPZ_NAME_BYTES - 1, a->name);
    e->offset = (uint32_t)*offset;
    e->size = (uint32_t)(header_n + data_n);
    e->crc = crc32_add(crc32_add(0, header, header_n), a->values, data_n);
    put32(&p, 0x04034b50);
    put_common(&p, e);
    *offset += LOCAL_BYTES + strlen(e->name) + e->size;
    return fwrite(local, LOCAL_BYTES, 1, file) == 1 &&
           fwrite(e->name, strlen(e->name), 1, file) == 1 &&
           fwrite(header, header_n, 1, file) == 1 &&
           (data_n == 0 || fwrite(a->values, data_n, 1, file) == 1);
}

static bool write_directory(FILE *file, const struct entry *entries, size_t n, uint64_t offset)
{
    uint32_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char central[CENTRAL_BYTES], *p = central;
        put32(&p, 0x02014b50);
        put16(&p, 20); /* made by */
        put_common(&p, &entries[i]);
        put16(&p, 0); /* comment */
        put16(&p, 0); /* disk */
        put16(&p, 0); /* internal attributes */
        put32(&p, 0); /* external attributes */
        put32(&p, entries[i].offset);
        bytes += CENTRAL_BYTES + (uint32_t)strlen(entries[i].name);
        if (fwrite(central, CENTRAL_BYTES, 1, file) != 1 ||
            fwrite(entries[i].name, strlen(entries[i].name), 1, file) != 1)
            return false;
    }
    unsigned char end[END_BYTES], *p = end;
    put32(&p, 0x06054b50);
    put32(&p, 0);
    put16(&p, (uint32_t)n);
    put16(&p, (uint32_t)n);
    put32(&p, bytes);
    put32(&p, (uint32_t)offset);
    put16(&p, 0);
    return fwrite(end, END_BYTES, 1, file) == 1;
}

struct result npz_write(const char *path, const struct npz_array *arrays, size_t n, struct why *why)
{
    static struct entry entries[NPZ_ARRAYS_MAX];
    uint64_t total = 0;
    for (size_t i = 0; i < n && n <= NPZ_ARRAYS_MAX; i++)
        total += (uint64_t)arrays[i].rows * arrays[i].columns * sizeof(float) + 1024;
    if (n > NPZ_ARRAYS_MAX || total > UINT32_MAX)
        return failed(why, RESULT_INPUT, "%zu arrays of %llu bytes are too much for a .npz file", n,
                      (unsigned long long)total);
    CLEANUP(close_file) FILE *file = fopen(path, "wbe");
    if (!file)
        return failed(why, RESULT_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    uint64_t offset = 0;
    bool good = true;
    for (size_t i = 0; good && i < n; i++)
        good = write_array(file, &arrays[i], &entries[i], &offset);
    good = good && write_directory(file, entries, n, offset) && fflush(file) == 0;
    if (good)
        return DONE;
    struct result r = failed(why, RESULT_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    unlink(path);
    return r;
}
