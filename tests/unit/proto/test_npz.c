/* SPDX-License-Identifier: Apache-2.0 */
/* A .npz holds what was put in: local headers, names, CRC-32, .npy headers and values. */
#include "proto/base/npz.h"

#include "proto/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uint32_t word(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)(unsigned char)p[i] << (8 * i);
    return v;
}

/* CRC-32 bit by bit, without a table. */
static uint32_t plain_crc(const char *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

/* Checks one member at p and returns the next one's place. */
static const char *check(const char *p, const char *name, const char *shape, const float *values,
                         size_t n)
{
    assert_memory_equal(p, "PK\3\4", 4);
    uint32_t crc = word(p + 14), size = word(p + 22);
    size_t name_n = (unsigned char)p[26];
    assert_int_equal(name_n, strlen(name));
    assert_memory_equal(p + 30, name, name_n);
    const char *data = p + 30 + name_n;
    assert_int_equal(crc, plain_crc(data, size));
    assert_memory_equal(data, "\x93NUMPY\1\0", 8);
    size_t header = 10u + (unsigned char)data[8] + 256u * (unsigned char)data[9];
    assert_int_equal(header % 64, 0);
    assert_non_null(memmem(data, header, shape, strlen(shape)));
    assert_int_equal(size, header + n * sizeof *values);
    assert_memory_equal(data + header, values, n * sizeof *values);
    return data + size;
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    char folder[] = "/tmp/consilium-npz-XXXXXX", path[64], *text = NULL;
    size_t n = 0;
    struct why why;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/m.npz", folder);
    const float weight[6] = {1, 2, 3, 4, 5, -6.5f}, bias[1] = {.25f};
    const struct npz_array arrays[2] = {
        {.name = "layer1.weight", .dimensions = 2, .rows = 3, .columns = 2, .values = weight},
        {.name = "layer1.bias", .dimensions = 1, .rows = 1, .columns = 1, .values = bias},
    };
    assert_true(ok(npz_write(path, arrays, 2, &why)));
    assert_true(ok(fs_read(path, 1 << 20, &text, &n, &why)));
    const char *p = check(text, "layer1.weight.npy", "'shape': (3, 2)", weight, 6);
    p = check(p, "layer1.bias.npy", "'shape': (1,)", bias, 1);
    assert_memory_equal(p, "PK\1\2", 4);
    const char *end = text + n - 22;
    assert_memory_equal(end, "PK\5\6", 4);
    assert_int_equal((unsigned char)end[10], 2);
    assert_int_equal(word(end + 16), (uint32_t)(p - text));
    free(text);
    unlink(path);
    rmdir(folder);
    assert_int_equal(npz_write("/nonexistent/m.npz", arrays, 2, &why).code, RESULT_SYSTEM);
    assert_int_equal(npz_write(path, arrays, NPZ_ARRAYS_MAX + 1, &why).code, RESULT_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_goes_in_comes_out)};
    return cmocka_run_group_tests_name("npz", tests, NULL, NULL);
}
