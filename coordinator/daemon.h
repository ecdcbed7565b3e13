/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's process on a consortium's folder. */
#ifndef CONSILIUM_COORDINATOR_DAEMON_H
#define CONSILIUM_COORDINATOR_DAEMON_H

#include "proto/base/result.h"

/* Runs until SIGTERM or SIGINT, or, with once, some seconds after the last study is over. Errors of
 * the start; RESULT_REFUSED when another coordinator runs on the folder. */
struct result daemon_run(const char *folder, bool once, struct why *why) MUST_CHECK;

#endif
