/* SPDX-License-Identifier: Apache-2.0 */
/* Build-time program: prints the unrolled trimmed-mean kernels for n rows up to its argument, every
 * count f dropped at each end, and the sorts of up to NETWORK_GROUP rows or keys, all over the
 * macros of the file that includes them. */
#include "coordinator/aggregate/network.h"

#include <stdio.h>
#include <stdlib.h>

/* fetches: so many rows are fetched ahead, one now and then, which disturbs the memory least. */
static void print_steps(const struct network *network, bool keyed, size_t fetches)
{
    size_t fetched = 0;
    const char *const NAME[] = {keyed ? "K_BOTH" : "V_BOTH", "V_LOW", "V_HIGH"};
    for (size_t k = 0; k < network->count; k++) {
        const struct comparator *c = &network->step[k];
        printf("%s(w%d, w%d);%s", NAME[c->kind], c->low, c->high, k % 4 == 3 ? "\n" : " ");
        for (; fetched * network->count < (k + 1) * fetches; fetched++)
            printf("V_FETCH(x[%zu] + at + c + FETCH_AHEAD);\n", fetched);
    }
}

static void print_run(size_t first, size_t count)
{
    if (count == 1) {
        printf("w%zu", first);
        return;
    }
    printf("V_ADD(");
    print_run(first, count / 2);
    printf(", ");
    print_run(first + count / 2, count / 2);
    printf(")");
}

/* Sums wires first..past-1 in runs of eight, the last ones of four, two and one. */
static void print_sum(size_t first, size_t past)
{
    printf("vec sum = V_ZERO;\n");
    for (size_t run = 8; run > 0; run /= 2)
        for (; past - first >= run; first += run) {
            printf("sum = V_ADD(sum, ");
            print_run(first, run);
            printf(");\n");
        }
}

static int print_kernel(size_t n, size_t f)
{
    struct network network;
    if (!network_build(n, f, n - f, false, &network))
        return 1;
    printf("static void trimmed_%zu_%zu(const float *const *x, size_t count, float *out)\n{\n", n,
           f);
    printf("for (size_t c = 0; c < count; c += V_LANES) {\n");
    for (size_t i = 0; i < n; i++)
        printf("vec w%zu = V_LOAD(x[%zu] + c);%s", i, i, i % 4 == 3 ? "\n" : " ");
    print_steps(&network, false, 0);
    print_sum(f, n - f);
    printf("V_STORE(out + c, V_DIVIDE(sum, %zu.0f));\n}\n}\n", n - 2 * f);
    network_free(&network);
    return 0;
}

/* Sorts n rows, a vector of columns at a time: floats from anywhere into a tile, fetching what
 * comes next, or keys in their tile. */
static int print_sort(size_t n, bool keyed)
{
    struct network network;
    if (!network_build(n, 0, n, true, &network))
        return 1;
    if (keyed)
        printf("static void keyed_%zu(double *tile)\n{\n"
               "for (size_t c = 0; c < KERNEL_KEYED_COLUMNS; c += K_LANES) {\n",
               n);
    else
        printf("static void sorted_%zu(const float *const *x, size_t count, size_t stride, "
               "float *tile)\n{\n"
               "for (size_t at = 0; at < count; at += KERNEL_SORT_COLUMNS, tile += stride)\n"
               "for (size_t c = 0; c < KERNEL_SORT_COLUMNS; c += V_LANES) {\n",
               n);
    for (size_t i = 0; i < n; i++)
        if (keyed)
            printf("keys w%zu = K_LOAD(tile + %zu * KERNEL_KEYED_COLUMNS + c);\n", i, i);
        else
            printf("vec w%zu = V_LOAD(x[%zu] + at + c);\n", i, i);
    print_steps(&network, keyed, keyed ? 0 : n);
    for (size_t i = 0; i < n; i++)
        printf("%c_STORE(tile + %zu * KERNEL_%s_COLUMNS + c, w%zu);\n", keyed ? 'K' : 'V', i,
               keyed ? "KEYED" : "SORT", i);
    printf("}\n}\n");
    network_free(&network);
    return 0;
}

static int print_sorts(size_t most, bool keyed)
{
    const char *name = keyed ? "keyed" : "sorted";
    for (size_t n = 1; n <= most; n++)
        if (print_sort(n, keyed) != 0)
            return 1;
    printf("static kernel_%s *const %s[%zu] = {\n", keyed ? "keyed_group" : "group",
           keyed ? "KEYED" : "SORTED", most + 1);
    for (size_t n = 1; n <= most; n++)
        printf("[%zu] = %s_%zu,%s", n, name, n, n % 4 == 0 ? "\n" : " ");
    printf("};\n");
    return 0;
}

int main(int argc, char **argv)
{
    size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (most < 3 || most > 64)
        return 2;
    if (print_sorts(NETWORK_GROUP, false) != 0 || print_sorts(NETWORK_GROUP, true) != 0)
        return 1;
    for (size_t n = 3; n <= most; n++)
        for (size_t f = 1; 2 * f < n; f++)
            if (print_kernel(n, f) != 0)
                return 1;
    printf("enum { TRIMMED_ROWS = %zu };\n", most);
    printf("static kernel_trimmed *const TRIMMED[%zu][%zu] = {\n", most + 1, most / 2 + 1);
    for (size_t n = 3; n <= most; n++)
        for (size_t f = 1; 2 * f < n; f++)
            printf("[%zu][%zu] = trimmed_%zu_%zu,%s", n, f, n, f, f % 4 == 0 ? "\n" : " ");
    printf("};\n");
    return 0;
}
