/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent enrol. */
#ifndef CONSILIUM_CMD_ENROL_H
#define CONSILIUM_CMD_ENROL_H

#include "proto/base/cli.h"

cli_command cmd_enrol;

#endif
