/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch, options and error lines shared by the subcommands. */
#include "proto/base/cli.h"

#include "proto/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void print_table(FILE *out, const struct cli_entry *table, const char *title)
{
    fprintf(out, "usage: %s\n\n", title);
    for (const struct cli_entry *e = table; e->name; e++)
        fprintf(out, "  %-12s %s\n", e->name, e->summary);
}

int cli_dispatch(const struct cli_entry *table, const char *title, int argc, char **argv)
{
    if (argc < 2) {
        print_table(stderr, table, title);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_table(stdout, table, title);
        return CLI_OK;
    }
    const struct cli_entry *nearest = NULL;
    int nearest_distance = 4;
    for (const struct cli_entry *e = table; e->name; e++) {
        if (strcmp(argv[1], e->name) == 0)
            return e->run(argc - 1, argv + 1);
        int distance = text_distance(argv[1], e->name);
        if (distance < nearest_distance) {
            nearest_distance = distance;
            nearest = e;
        }
    }
    if (nearest)
        return cli_usage("no command '%s'; did you mean '%s'?", argv[1], nearest->name);
    return cli_usage("no command '%s'; --help lists them", argv[1]);
}

int cli_fail(struct result r, const struct why *why)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, why->text);
    switch (r.code) {
    case RESULT_OK:
        return CLI_OK;
    case RESULT_INPUT:
        return CLI_USAGE;
    case RESULT_REFUSED:
        return CLI_FAILED;
    case RESULT_AGAIN:
    case RESULT_SYSTEM:
        break;
    }
    return CLI_SYSTEM;
}

int cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return CLI_USAGE;
}

static void remove_arguments(int *argc, char **argv, int at, int count)
{
    for (int i = at; i + count <= *argc; i++)
        argv[i] = argv[i + count];
    *argc -= count;
}

bool cli_take_flag(int *argc, char **argv, const char *flag)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], flag) == 0) {
            remove_arguments(argc, argv, i, 1);
            return true;
        }
    }
    return false;
}

const char *cli_take_option(int *argc, char **argv, const char *name)
{
    size_t length = strlen(name);
    for (int i = 1; i < *argc; i++) {
        if (strncmp(argv[i], name, length) != 0)
            continue;
        if (argv[i][length] == '=') {
            const char *value = argv[i] + length + 1;
            remove_arguments(argc, argv, i, 1);
            return value;
        }
        if (argv[i][length] == '\0' && i + 1 < *argc) {
            const char *value = argv[i + 1];
            remove_arguments(argc, argv, i, 2);
            return value;
        }
    }
    return NULL;
}

bool cli_odd_option(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            cli_usage("'%.60s' is not an option of %s, is given twice or lacks its value; --help "
                      "lists them",
                      argv[i], argv[0]);
            return true;
        }
    }
    return false;
}
