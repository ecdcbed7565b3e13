/* SPDX-License-Identifier: Apache-2.0 */
/* Subcommands of consilium gate that stand in files of their own. */
#ifndef CONSILIUM_CLI_CMD_GATE_H
#define CONSILIUM_CLI_CMD_GATE_H

#include "proto/base/cli.h"

cli_command gate_policy; /* cmd_gate_paper.c */
cli_command gate_pccp;
cli_command gate_ledger;

#endif
