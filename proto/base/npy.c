/* SPDX-License-Identifier: Apache-2.0 */
/* .npy: "\x93NUMPY", version, header length, a Python dictionary as text, the numbers. */
#include "proto/base/npy.h"

#include "proto/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char MAGIC[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

enum { PREAMBLE_V1 = 10, PREAMBLE_V2 = 12, ALIGNMENT = 64 };

/* The text after 'key': in the dictionary, blanks skipped; NULL when the key is not there. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at)
        return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at != ':')
        return NULL;
    at++;
    return at + strspn(at, " ");
}

static bool read_size(const char **at, size_t *size)
{
    char *end = NULL;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(*at, &end, 10);
    if (errno || value > UINT64_C(1) << NPY_ELEMENTS_LOG2_MAX)
        return false;
    *size = (size_t)value;
    *at = end + strspn(end, " ");
    return true;
}

/* "(5,)", "(5, 3)". */
static bool read_shape(const char *at, struct npy *npy)
{
    if (*at != '(')
        return false;
    at += 1 + strspn(at + 1, " ");
    if (!read_size(&at, &npy->columns))
        return false;
    npy->rows = 1;
    npy->dimensions = 1;
    if (*at != ',')
        return false;
    at += 1 + strspn(at + 1, " ");
    if (*at != ')') {
        npy->rows = npy->columns;
        npy->dimensions = 2;
        if (!read_size(&at, &npy->columns))
            return false;
        if (*at == ',')
            at += 1 + strspn(at + 1, " ");
    }
    return *at == ')';
}

/* Length of the preamble and of the dictionary; false when the file is too short for them. */
static bool read_preamble(const unsigned char *map, size_t bytes, size_t *preamble, size_t *length)
{
    if (bytes < PREAMBLE_V2 || memcmp(map, MAGIC, sizeof MAGIC) != 0)
        return false;
    unsigned version = map[6];
    if (version < 1 || version > 3)
        return false;
    *preamble = version == 1 ? PREAMBLE_V1 : PREAMBLE_V2;
    *length = (size_t)map[8] | (size_t)map[9] << 8;
    if (version > 1)
        *length |= (size_t)map[10] << 16 | (size_t)map[11] << 24;
    return *length <= NPY_HEADER_MAX && *preamble + *length <= bytes;
}

static struct result parse(const char *path, struct npy *npy, struct why *why)
{
    const unsigned char *map = npy->map;
    size_t preamble = 0;
    size_t length = 0;
    if (!read_preamble(map, npy->map_bytes, &preamble, &length))
        return failed(why, RESULT_INPUT, "%s is not a .npy file", path);
    char header[NPY_HEADER_MAX + 1];
    memcpy(header, map + preamble, length);
    header[length] = '\0';
    const char *type = value_of(header, "'descr'");
    const char *fortran = value_of(header, "'fortran_order'");
    const char *shape = value_of(header, "'shape'");
    size_t element = 0;
    if (type && strncmp(type, "'<f4'", 5) == 0)
        element = sizeof(float);
    else if (type && strncmp(type, "'<f8'", 5) == 0)
        element = sizeof(double);
    else
        return failed(why, RESULT_INPUT,
                      "%s must hold float32 or float64: save x.astype(\"float64\")", path);
    if (!shape || !read_shape(shape, npy))
        return failed(why, RESULT_INPUT, "%s must have one or two dimensions", path);
    bool column_major = !fortran || strncmp(fortran, "False", 5) != 0;
    if (column_major && npy->rows > 1 && npy->columns > 1)
        return failed(why, RESULT_INPUT, "%s must be in C order: save numpy.ascontiguousarray(x)",
                      path);
    size_t most = (size_t)1 << NPY_ELEMENTS_LOG2_MAX;
    if (npy->columns && npy->rows > most / npy->columns)
        return failed(why, RESULT_INPUT, "%s has too many elements", path);
    size_t elements = npy->rows * npy->columns;
    size_t offset = preamble + length;
    if (npy->map_bytes - offset != elements * element || offset % element)
        return failed(
            why, RESULT_INPUT,
            "%s does not hold the %zu x %zu elements it says: %zu bytes after its header, "
            "not %zu; copy or save it again",
            path, npy->rows, npy->columns, npy->map_bytes - offset, elements * element);
    const void *values = map + offset;
    if (element == sizeof(float))
        npy->f32 = values;
    else
        npy->f64 = values;
    return DONE;
}

struct result npy_open(const char *path, struct npy *npy, struct why *why)
{
    memset(npy, 0, sizeof *npy);
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return failed(why, RESULT_INPUT, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return failed(why, RESULT_INPUT, "%s is a %s, not a .npy file", path,
                      S_ISDIR(status.st_mode) ? "folder" : "pipe or device");
    if (status.st_size < PREAMBLE_V2)
        return failed(why, RESULT_INPUT, "%s is not a .npy file", path);
    npy->map_bytes = (size_t)status.st_size;
    npy->map = mmap(NULL, npy->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (npy->map == MAP_FAILED) {
        npy->map = NULL;
        return failed(why, RESULT_SYSTEM, "cannot map %s: %s", path, strerror(errno));
    }
    struct result r = parse(path, npy, why);
    if (!ok(r))
        npy_close(npy);
    return r;
}

void npy_close(struct npy *npy)
{
    if (npy->map)
        munmap(npy->map, npy->map_bytes);
    memset(npy, 0, sizeof *npy);
}

struct result npy_write(const char *path, int dimensions, size_t rows, size_t columns,
                        size_t element_bytes, const void *values, struct why *why)
{
    char shape[64];
    if (dimensions == 1)
        snprintf(shape, sizeof shape, "(%zu,)", columns);
    else
        snprintf(shape, sizeof shape, "(%zu, %zu)", rows, columns);
    char header[2 * ALIGNMENT + 64];
    int text =
        snprintf(header + PREAMBLE_V1, sizeof header - PREAMBLE_V1,
                 "{'descr': '<f%zu', 'fortran_order': False, 'shape': %s, }", element_bytes, shape);
    size_t used = PREAMBLE_V1 + (size_t)text;
    size_t total = (used + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(header + used, ' ', total - used);
    header[total - 1] = '\n';
    memcpy(header, MAGIC, sizeof MAGIC);
    header[6] = 1;
    header[7] = 0;
    header[8] = (char)((total - PREAMBLE_V1) & 0xff);
    header[9] = (char)((total - PREAMBLE_V1) >> 8);
    CLEANUP(close_file) FILE *file = fopen(path, "wbe");
    if (!file)
        return failed(why, RESULT_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    size_t elements = rows * columns;
    bool wrote = fwrite(header, 1, total, file) == total &&
                 fwrite(values, element_bytes, elements, file) == elements && fflush(file) == 0;
    FILE *closing = TAKE(file);
    if (fclose(closing) != 0 || !wrote)
        return failed(why, RESULT_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    return DONE;
}
