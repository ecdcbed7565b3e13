/* SPDX-License-Identifier: Apache-2.0 */
/* Between the commands that open validations and wait for them. */
#ifndef CONSILIUM_CLI_CMD_VALIDATE_H
#define CONSILIUM_CLI_CMD_VALIDATE_H

#include <stdbool.h>

/* Waits until that run is over and prints it, as JSON, in words or (quiet) not at all; an exit
 * code. */
enum validate_print { VALIDATE_WORDS, VALIDATE_JSON, VALIDATE_QUIET };
int validate_wait(const char *folder, const char *study, long long task, enum validate_print print);

#endif
