/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent: one table of subcommands. */
#include "agent/cli/commands.h"

#include <sodium.h>

static const struct cli_entry COMMANDS[] = {
    {"enrol", cmd_enrol, "make this site's keys and request, install the operator's answer"},
    {"run", cmd_run, "take part: start this site's network process and its vault"},
    {NULL, NULL, NULL},
};

int main(int argc, char **argv)
{
    if (sodium_init() < 0)
        return cli_usage("libsodium does not start");
    return cli_dispatch(COMMANDS,
                        "consilium-agent COMMAND SITE-FOLDER [ARGUMENT ...]   (each takes --help)",
                        argc, argv);
}
