/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent enrol: a site makes its keys and request, and installs the operator's bundle. */
#include "agent/cli/commands.h"

#include "proto/enrol_dialog.h"

#include <stdio.h>

static const char HELP[] =
    "usage: consilium-agent enrol DIR --name NAME [--json]\n"
    "       consilium-agent enrol DIR --install BUNDLE [--yes] [--json]\n\n"
    "First makes this site's keys in DIR and a request to send to the consortium's operator.\n"
    "Then installs the bundle that comes back. The private keys never leave DIR.\n\n"
    "  --name NAME        of the site: a-z, 0-9, - and _, starting with a letter\n"
    "  --install BUNDLE   the operator's answer\n"
    "  --yes              the words were compared already\n";

int cmd_enrol(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    bool yes = cli_take_flag(&argc, argv, "--yes");
    const char *name = cli_take_option(&argc, argv, "--name");
    const char *bundle = cli_take_option(&argc, argv, "--install");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2 || argv[1][0] == '-' || !name == !bundle)
        return cli_usage("enrol needs a folder and either --name or --install; --help tells more");
    if (bundle && json && !yes)
        return cli_usage("--json asks nothing: give --yes after comparing the words");
    if (bundle)
        return enrol_dialog_install(argv[1], bundle, yes, json);
    char install[FS_PATH_BYTES + 64];
    snprintf(install, sizeof install, "consilium-agent enrol %s --install %s.bundle", argv[1],
             name);
    return enrol_dialog_request(argv[1], name, ROLE_SITE, install, json);
}
