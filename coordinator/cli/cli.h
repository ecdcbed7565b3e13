/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of consilium, one file each: cmd_NAME.c. */
#ifndef CONSILIUM_CLI_H
#define CONSILIUM_CLI_H

#include "proto/base/cli.h"

cli_command cmd_privacy;
cli_command cmd_plan;
cli_command cmd_stats;
cli_command cmd_aggregate;
cli_command cmd_codec;
cli_command cmd_init;
cli_command cmd_site;
cli_command cmd_simulate;
cli_command cmd_launch;
cli_command cmd_watch;
cli_command cmd_status;
cli_command cmd_report;
cli_command cmd_audit;
cli_command cmd_model;
cli_command cmd_gate;
cli_command cmd_incident;
cli_command cmd_validate;
cli_command cmd_monitor;
cli_command cmd_stop;
cli_command cmd_resume;
cli_command cmd_version;

#endif
