/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent run: takes part in the consortium's studies until it is told to stop. */
#include "agent/cli/commands.h"
#include "agent/supervise.h"
#include "proto/base/log.h"

#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium-agent run SITE-FOLDER [--data FOLDER] [--vault PROGRAM]\n"
    "                           [--without-landlock]\n"
    "\n"
    "Starts the site's two processes: one with the network and no patient data, and the vault "
    "with\n"
    "the patient data and no network. Runs until it gets SIGTERM or SIGINT. SIGHUP, or a change "
    "of\n"
    "certificate, policy or mapping, starts both anew once the vault has finished its task.\n"
    "\n"
    "  --data FOLDER        patients' files are here instead of in SITE-FOLDER/data\n"
    "  --vault PROGRAM      the vault program, if it is not beside this one\n"
    "  --without-landlock   start even if the kernel cannot shut files off from the processes\n";

int cmd_run(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    struct folder folder;
    struct why why;
    struct supervise_options options = {.folder = &folder};
    options.landlock = !cli_take_flag(&argc, argv, "--without-landlock");
    options.vault_program = cli_take_option(&argc, argv, "--vault");
    const char *data = cli_take_option(&argc, argv, "--data");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("run: name the site's folder; --help shows how");
    options.path = argv[1];
    struct result r = folder_at(&folder, options.path, data, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    log_start("consilium-agent", LOG_LEVEL_INFO);
    return supervise_run(&options);
}
