/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent: one table of subcommands. */
#include "agent/cli/commands.h"

#include <sodium.h>

static const struct cli_entry COMMANDS[] = {
    {"enrol", cmd_enrol, "make this site's keys and request, install the operator's answer"},
    {"policy", cmd_policy, "the bounds in force at this site, or a first policy file"},
    {"check-data", cmd_check_data, "do this site's patients fit a plan, would its policy take it"},
    {"run", cmd_run, "take part: start this site's network process and its vault"},
    {"show", cmd_show, "what a study would make leave this site, or what has left"},
    {"approve", cmd_approve, "let a study that asks go ahead"},
    {"refuse", cmd_refuse, "keep this site out of a study"},
    {"budget", cmd_budget, "what the patients' privacy budget was spent on, and what is left"},
    {"head", cmd_head, "the head of the coordinator's log that this site holds"},
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
