/* SPDX-License-Identifier: Apache-2.0 */
/* Build-time program: prints the unrolled trimmed-mean kernels for n rows up to its argument, every
 * count f dropped at each end, and with a second argument the sorts of up to so many rows of a
 * tile, all over the macros of the file that includes them. */
#include "coordinator/aggregate/network.h"

#include <stdio.h>
#include <stdlib.h>

static void print_steps(const struct network *network)
{
    static const char *const NAME[] = {"V_BOTH", "V_LOW", "V_HIGH"};
    for (size_t k = 0; k < network->count; k++) {
        const struct comparator *c = &network->step[k];
        printf("%s(w%d, w%d);%s", NAME[c->kind], c->low, c->high, k % 4 == 3 ? "\n" : " ");
    }
}

/* Sums wires first..past-1 as a balanced tree, which keeps rounding small. */
static void print_sum(size_t first, size_t past)
{
    if (past - first == 1) {
        printf("w%zu", first);
        return;
    }
    size_t middle = first + (past - first) / 2;
    printf("V_ADD(");
    print_sum(first, middle);
    printf(", ");
    print_sum(middle, past);
    printf(")");
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
    print_steps(&network);
    printf("V_STORE(out + c, V_DIVIDE(");
    print_sum(f, n - f);
    printf(", %zu.0f));\n}\n}\n", n - 2 * f);
    network_free(&network);
    return 0;
}

/* Sorts n rows of a tile in place, a vector of columns at a time. */
static int print_sort(size_t n)
{
    struct network network;
    if (!network_build(n, 0, n, true, &network))
        return 1;
    printf("static void sorted_%zu(float *tile)\n{\n", n);
    printf("for (size_t c = 0; c < KERNEL_SORT_COLUMNS; c += V_LANES) {\n");
    for (size_t i = 0; i < n; i++)
        printf("vec w%zu = V_LOAD(tile + %zu * KERNEL_SORT_COLUMNS + c);\n", i, i);
    print_steps(&network);
    for (size_t i = 0; i < n; i++)
        printf("V_STORE(tile + %zu * KERNEL_SORT_COLUMNS + c, w%zu);\n", i, i);
    printf("}\n}\n");
    network_free(&network);
    return 0;
}

static int print_sorts(size_t most)
{
    for (size_t n = 2; n <= most; n++)
        if (print_sort(n) != 0)
            return 1;
    printf("static kernel_group *const SORTED[%zu] = {\n", most + 1);
    for (size_t n = 2; n <= most; n++)
        printf("[%zu] = sorted_%zu,%s", n, n, n % 4 == 0 ? "\n" : " ");
    printf("};\n");
    return 0;
}

int main(int argc, char **argv)
{
    size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t sorts = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (most < 3 || most > 64 || sorts > NETWORK_GROUP || (sorts > 0 && print_sorts(sorts) != 0))
        return 2;
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
