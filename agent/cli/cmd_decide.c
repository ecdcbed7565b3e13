/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent approve and refuse: a human's decision about one plan. */
#include "agent/cli/commands.h"
#include "agent/cli/site.h"
#include "agent/vault/after.h"
#include "agent/vault/decisions.h"
#include "proto/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium-agent approve SITE-FOLDER STUDY [--validation] [--json]\n"
    "       consilium-agent refuse SITE-FOLDER STUDY [--validation] [--json]\n"
    "\n"
    "Decides about a study that asks. The decision is about exactly the plan that was offered "
    "(its\n"
    "hash); 'consilium-agent show SITE-FOLDER STUDY' tells what would leave. The bounds of the\n"
    "site's policy and privacy budget hold whatever is approved. The running vault takes the\n"
    "decision up within a second.\n"
    "  --validation   decides about evaluations of the study's model after its end, where the\n"
    "                 policy says 'validation: ask'\n";

static struct result write_down(const struct site *site, const struct ledger_study *study,
                                bool approve, bool validation, struct why *why)
{
    char name[PLAN_NAME_BYTES + sizeof AFTER_DECISION];
    snprintf(name, sizeof name, "%s%s", study->name, validation ? AFTER_DECISION : "");
    if (!validation &&
        (study->standing == LEDGER_STUDY_ALLOWED || study->standing == LEDGER_STUDY_FINISHED))
        return failed(why, RESULT_REFUSED, "study '%s' is %s already; its cost is charged",
                      study->name, ledger_standing_name(study->standing));
    CLEANUP(close_fd)
    int fd = open(site->folder.decisions, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(why, RESULT_SYSTEM, "%s: cannot open: %s", site->folder.decisions,
                      strerror(errno));
    return decisions_append(fd, approve, name, study->plan_hash, why);
}

static void print(const struct ledger_study *study, bool approve, bool json)
{
    const char *verdict = approve ? "approved" : "refused";
    char hex[2 * PLAN_HASH_BYTES + 1];
    sodium_bin2hex(hex, sizeof hex, study->plan_hash, PLAN_HASH_BYTES);
    if (!json) {
        printf("study %s of %s is %s at this site (plan %.16s)\n", study->name, study->researcher,
               verdict, hex);
        return;
    }
    json_t *out = json_pack("{s:s, s:s, s:s, s:s}", "study", study->name, "researcher",
                            study->researcher, "plan_hash", hex, "decision", verdict);
    json_dumpf(out, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(out);
}

static int decide(int argc, char **argv, bool approve)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    bool validation = cli_take_flag(&argc, argv, "--validation");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 3)
        return cli_usage("%s: name the site's folder and the study; --help shows how", argv[0]);
    struct site site = {0};
    struct ledger_study *study = NULL;
    struct why why;
    struct result r = site_open(&site, argv[1], NULL, &why);
    if (ok(r))
        r = site_study(&site, argv[2], &study, &why);
    if (ok(r))
        r = write_down(&site, study, approve, validation, &why);
    if (ok(r))
        print(study, approve, json);
    site_close(&site);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}

int cmd_approve(int argc, char **argv)
{
    return decide(argc, argv, true);
}

int cmd_refuse(int argc, char **argv)
{
    return decide(argc, argv, false);
}
