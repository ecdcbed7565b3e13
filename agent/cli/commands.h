/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of consilium-agent, one file each: cmd_NAME.c. */
#ifndef CONSILIUM_AGENT_COMMANDS_H
#define CONSILIUM_AGENT_COMMANDS_H

#include "proto/base/cli.h"

cli_command cmd_enrol;
cli_command cmd_run;

#endif
