/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of consilium-agent, one file each: cmd_NAME.c (approve and refuse: cmd_decide.c).
 */
#ifndef CONSILIUM_AGENT_COMMANDS_H
#define CONSILIUM_AGENT_COMMANDS_H

#include "proto/base/cli.h"

cli_command cmd_enrol;
cli_command cmd_run;
cli_command cmd_policy;
cli_command cmd_check_data;
cli_command cmd_show;
cli_command cmd_approve;
cli_command cmd_refuse;
cli_command cmd_budget;
cli_command cmd_head;

#endif
