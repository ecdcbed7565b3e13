/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-coordinator: options, then the daemon. */
#include "coordinator/daemon.h"
#include "proto/base/cli.h"
#include "proto/base/log.h"

#include <stdio.h>

static const char USAGE[] = "usage: consilium-coordinator --dir CONSORTIUM [--once-study]\n\n"
                            "Runs the consortium's coordinator in the foreground until SIGTERM.\n"
                            "  --dir CONSORTIUM   the folder that 'consilium init' made\n"
                            "  --once-study       end some seconds after the last study is over\n";

int main(int argc, char **argv)
{
    struct why why;
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    bool once = cli_take_flag(&argc, argv, "--once-study");
    const char *folder = cli_take_option(&argc, argv, "--dir");
    if (!folder || argc > 1)
        return cli_usage("%s", folder ? "too many arguments; --help lists them"
                                      : "--dir CONSORTIUM is missing");
    log_start("coordinator", LOG_LEVEL_INFO);
    struct result r = daemon_run(folder, once, &why);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
