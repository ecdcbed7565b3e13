/* SPDX-License-Identifier: Apache-2.0 */
/* What the privacy subcommands share. */
#ifndef CONSILIUM_CLI_CMD_PRIVACY_H
#define CONSILIUM_CLI_CMD_PRIVACY_H

#include "coordinator/cli/cli.h"

cli_command cmd_privacy_epsilon;
cli_command cmd_privacy_delta;
cli_command cmd_privacy_calibrate;
cli_command cmd_privacy_bound;
cli_command cmd_privacy_check;
cli_command cmd_privacy_audit_run;
cli_command cmd_privacy_statement;
cli_command cmd_privacy_ledger;

/* Takes "--name NUMBER" from argv. RESULT_INPUT with a sentence when it is absent and required, or
 * no finite number; an absent optional one leaves *ret alone. */
struct result take_number(int *argc, char **argv, const char *name, bool required, double *ret,
                          struct why *why);

/* RESULT_INPUT naming the first argument that nothing took. */
struct result refuse_rest(int argc, char **argv, struct why *why);

/* Prints `"name": value`, null when it is not finite, and what follows. */
void print_json_number(const char *name, double value, const char *after);

#endif
