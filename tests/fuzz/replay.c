/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over every file of its corpus, and over cut and bit-flipped copies of each,
 * so that the target is also a plain test on any compiler. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_FILE = 1 << 20,
    CUTS = 256,  /* lengths tried a file: all of a short one */
    FLIPS = 512, /* single bits flipped a file: the first half of them from the start */
};

/* In a buffer of exactly its size, so that the sanitizer sees one byte too far. */
static void run_copy(const uint8_t *data, size_t size, size_t flip_bit)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    if (flip_bit < 8 * size)
        copy[flip_bit / 8] ^= (uint8_t)(1u << flip_bit % 8);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_variants(const uint8_t *data, size_t size)
{
    run_copy(data, size, SIZE_MAX);
    for (size_t i = 0; i < CUTS; i++)
        run_copy(data, size <= CUTS ? i % (size + 1) : size * i / CUTS, SIZE_MAX);
    for (size_t i = 0; size && i < FLIPS; i++)
        run_copy(data, size, i < FLIPS / 2 ? i : 8 * size / FLIPS * i + i % 8);
}

static int run_file(const char *folder, const char *name)
{
    static uint8_t data[MAX_FILE];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t size = fread(data, 1, sizeof data, file);
    int bad = ferror(file) || !feof(file);
    fclose(file);
    if (bad) {
        fprintf(stderr, "%s: unreadable, or over %d bytes\n", path, MAX_FILE);
        return 1;
    }
    run_variants(data, size);
    return 0;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **names;
    int count = argc == 2 ? scandir(argv[1], &names, visible, alphasort) : -1;
    if (count < 1) {
        fprintf(stderr, "usage: %s FOLDER (of at least one input)\n", argv[0]);
        return 2;
    }
    int failures = 0;
    for (int i = 0; i < count; i++) {
        failures += run_file(argv[1], names[i]->d_name);
        free(names[i]);
    }
    free(names);
    printf("%d inputs, %d unreadable\n", count, failures);
    return failures != 0;
}
