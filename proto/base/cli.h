/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands of every program share: their signature, exit codes, options and errors. */
#ifndef CONSILIUM_BASE_CLI_H
#define CONSILIUM_BASE_CLI_H

#include "proto/base/result.h"

#include <stdbool.h>

/* Exit codes, the same for every subcommand. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* it ran and the answer is no: a check failed, a refusal */
    CLI_USAGE = 2,  /* bad arguments or bad input */
    CLI_SYSTEM = 3, /* disk, network, memory */
};

/* A subcommand: argv[0] is its own name. Prints its result on stdout, errors on stderr. */
typedef int cli_command(int argc, char **argv);

struct cli_entry {
    const char *name;
    cli_command *run;
    const char *summary; /* one line of help */
};

/* Looks argv[1] up in a table closed by a NULL name and runs it; prints the table for --help or no
 * argument, and the nearest name for a typo. title is the usage line. */
int cli_dispatch(const struct cli_entry *table, const char *title, int argc, char **argv);

/* Prints "<program>: <sentence>" on stderr and returns the exit code that fits the result. */
int cli_fail(struct result r, const struct why *why);

/* Prints a usage error on stderr and returns CLI_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Removes a flag such as "--json" from argv and tells whether it was there. */
bool cli_take_flag(int *argc, char **argv, const char *flag);

/* Removes "--name VALUE" or "--name=VALUE" from argv and returns VALUE, or NULL when absent. */
const char *cli_take_option(int *argc, char **argv, const char *name);

/* Whether an argument that begins with "-" is left once all options are taken: one that the command
 * does not have, or that lacks its value. Says so on stderr; the caller returns CLI_USAGE before it
 * looks at anything else. */
bool cli_odd_option(int argc, char **argv);

#endif
