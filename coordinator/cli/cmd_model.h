/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of consilium model, one file per group. */
#ifndef CONSILIUM_CLI_CMD_MODEL_H
#define CONSILIUM_CLI_CMD_MODEL_H

#include "coordinator/cli/cli.h"

/* cmd_model_stage.c */
cli_command model_list;
cli_command model_show;
cli_command model_move; /* promote, suspend, resume, retire, rollback: argv[0] says which */

/* cmd_model_passport.c */
cli_command model_passport;

#endif
