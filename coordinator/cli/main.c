/* SPDX-License-Identifier: Apache-2.0 */
/* consilium: one table of subcommands. */
#include "coordinator/cli/cli.h"

#include <stdio.h>

int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("consilium " CONSILIUM_VERSION);
    return CLI_OK;
}

static const struct cli_entry COMMANDS[] = {
    {"init", cmd_init, "make a consortium: authority, coordinator, broker, operator"},
    {"site", cmd_site, "enrol, approve, revoke and list members"},
    {"privacy", cmd_privacy, "what a release costs: epsilon, delta, noise, audit bounds"},
    {"plan", cmd_plan, "check a plan and print what it will cost"},
    {"stats", cmd_stats, "compute one statistic, or check reference cases"},
    {"aggregate", cmd_aggregate, "robust aggregation of the rows of an array; the table of rules"},
    {"codec", cmd_codec, "compress an array, decompress it, or measure a codec on it"},
    {"simulate", cmd_simulate, "run a whole study in this process, on files at hand"},
    {"launch", cmd_launch, "sign a plan and offer it to its sites"},
    {"watch", cmd_watch, "follow a study as it goes"},
    {"status", cmd_status, "where studies and sites stand"},
    {"report", cmd_report, "the study's report: figures, sites, budgets, audit"},
    {"gate", cmd_gate, "how the gate judged a study's model, rule by rule"},
    {"validate", cmd_validate, "a finished model at all its sites again, without training"},
    {"monitor", cmd_monitor, "watch models in use: looks, findings, suspension"},
    {"incident", cmd_incident, "incidents about models, and their deadlines"},
    {"model", cmd_model, "models: export, registry, promotion, rollback, passport"},
    {"audit", cmd_audit, "take the signed log home; verify it offline, round by round"},
    {"stop", cmd_stop, "end a study"},
    {"resume", cmd_resume, "let a paused study go on"},
    {"version", cmd_version, "print the version"},
    {NULL, NULL, NULL},
};

int main(int argc, char **argv)
{
    return cli_dispatch(COMMANDS, "consilium COMMAND [ARGUMENT ...]   (each takes --help)", argc,
                        argv);
}
