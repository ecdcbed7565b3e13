/* SPDX-License-Identifier: Apache-2.0 */
/* Between the commands that open validations and wait for them. */
#ifndef CONSILIUM_CLI_CMD_VALIDATE_H
#define CONSILIUM_CLI_CMD_VALIDATE_H

#include <stdbool.h>

/* Waits until that run is over and prints it; an exit code. */
int validate_wait(const char *folder, const char *study, long long task, bool json);

#endif
