/* SPDX-License-Identifier: Apache-2.0 */
/* consilium site: members ask to be enrolled, are approved, revoked and listed. */
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cli.h"
#include "coordinator/consortium.h"
#include "proto/base/cleanup.h"
#include "proto/base/record.h"
#include "proto/enrol_dialog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int print_record(struct record *record)
{
    CLEANUP(free_pointer) char *text = record_print(record);
    fputs(text ? text : "", stdout);
    return text ? CLI_OK : CLI_SYSTEM;
}

/* Prints the help when asked for it. */
static bool helped(int *argc, char **argv, const char *help)
{
    bool asked = cli_take_flag(argc, argv, "--help");
    if (asked)
        fputs(help, stdout);
    return asked;
}

static int site_request(int argc, char **argv)
{
    static const char help[] =
        "usage: consilium site request DIR --name NAME --role ROLE [--json]\n\n"
        "Makes keys for a member in DIR and a request for the operator. ROLE is site, researcher,\n"
        "auditor or operator. A hospital uses consilium-agent enrol instead.\n";
    if (helped(&argc, argv, help))
        return CLI_OK;
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *name = cli_take_option(&argc, argv, "--name");
    const char *role_text = cli_take_option(&argc, argv, "--role");
    enum role role = ROLE_RESEARCHER;
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2 || !name || !role_text)
        return cli_usage("site request needs a folder, --name and --role; --help tells more");
    if (!role_parse(&role, role_text) || role == ROLE_COORDINATOR)
        return cli_usage("'%s' is not a role (site, researcher, auditor, operator)", role_text);
    char install[FS_PATH_BYTES + 64];
    snprintf(install, sizeof install, "consilium site install %s %s.bundle", argv[1], name);
    return enrol_dialog_request(argv[1], name, role, install, json);
}

static int site_install(int argc, char **argv)
{
    static const char help[] = "usage: consilium site install DIR BUNDLE [--yes] [--json]\n\n"
                               "Installs the operator's bundle into the folder of the request.\n";
    if (helped(&argc, argv, help))
        return CLI_OK;
    bool json = cli_take_flag(&argc, argv, "--json");
    bool yes = cli_take_flag(&argc, argv, "--yes");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 3)
        return cli_usage("site install needs a folder and a bundle; --help tells more");
    if (json && !yes)
        return cli_usage("--json asks nothing: give --yes after comparing the words");
    return enrol_dialog_install(argv[1], argv[2], yes, json);
}

static int approved(const struct consortium *c, const struct enrol_request *request,
                    const char *words, const char *bundle, bool json)
{
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    char own_words[WORDS_BYTES];
    struct why why;
    struct result r = consortium_fingerprint(c, fingerprint, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    words_of(own_words, fingerprint);
    if (json) {
        CLEANUP(close_record) struct record *record = record_new();
        record_put_text(record, "name", request->who.name);
        record_put_text(record, "role", role_name(request->who.role));
        record_put_text(record, "words", words);
        record_put_text(record, "bundle", bundle);
        record_put_text(record, "consortium_words", own_words);
        return print_record(record);
    }
    printf("'%s' is a member now. Send back this file:\n     %s\n", request->who.name, bundle);
    printf("The consortium's words, which the member compares when installing it:\n     %s\n",
           own_words);
    return CLI_OK;
}

static int approve(const struct consortium *c, const struct enrol_request *request, bool yes,
                   bool json)
{
    char words[WORDS_BYTES];
    char bundle[FS_PATH_BYTES];
    struct why why;
    words_of(words, request->fingerprint);
    if (!json) {
        printf("Request of %s '%s'. Its words, to compare over the telephone:\n     %s\n",
               role_name(request->who.role), request->who.name, words);
    }
    if (!yes && !enrol_dialog_confirm("Does the other side read the same words?")) {
        fprintf(stderr, "Nothing was approved.\n");
        return CLI_FAILED;
    }
    struct result r = consortium_approve(c, request, bundle, &why);
    return ok(r) ? approved(c, request, words, bundle, json) : cli_fail(r, &why);
}

static int site_approve(int argc, char **argv)
{
    static const char help[] =
        "usage: consilium site approve CONSORTIUM REQUEST [--yes] [--json]\n\n"
        "Shows who asks, with the words to compare over the telephone, asks, and issues the\n"
        "certificate, the roster entry and the bundle to send back.\n";
    if (helped(&argc, argv, help))
        return CLI_OK;
    bool json = cli_take_flag(&argc, argv, "--json");
    bool yes = cli_take_flag(&argc, argv, "--yes");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 3)
        return cli_usage("site approve needs a consortium and a request; --help tells more");
    if (json && !yes)
        return cli_usage("--json asks nothing: give --yes after comparing the words");
    struct consortium c;
    struct enrol_request request;
    struct why why;
    struct result r = consortium_open(argv[1], &c, &why);
    if (ok(r))
        r = enrol_dialog_read_request(argv[2], &request, &why);
    return ok(r) ? approve(&c, &request, yes, json) : cli_fail(r, &why);
}

static int site_revoke(int argc, char **argv)
{
    static const char help[] =
        "usage: consilium site revoke CONSORTIUM NAME --reason REASON [--json]\n\n"
        "Takes a member out at once: roster, revocation list and the broker's access list.\n";
    if (helped(&argc, argv, help))
        return CLI_OK;
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *reason = cli_take_option(&argc, argv, "--reason");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 3 || !reason)
        return cli_usage("site revoke needs a consortium, a name and --reason; --help tells more");
    if (strlen(reason) >= ROSTER_REASON_BYTES)
        return cli_usage("a reason has at most %d bytes", ROSTER_REASON_BYTES - 1);
    struct consortium c;
    struct why why;
    bool told = false;
    struct result r = consortium_open(argv[1], &c, &why);
    if (ok(r))
        r = consortium_revoke(&c, argv[2], reason, &told, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json) {
        CLEANUP(close_record) struct record *record = record_new();
        record_put_text(record, "name", argv[2]);
        record_put_flag(record, "broker_told", told);
        return print_record(record);
    }
    printf("'%s' is revoked.\n", argv[2]);
    if (!told)
        printf("No broker runs on this folder; one that runs elsewhere must read the new\n"
               "%s/broker/acl and crl.pem (SIGHUP).\n",
               c.folder);
    return CLI_OK;
}

static void date_text(char out[16], uint64_t time_s)
{
    time_t t = (time_t)time_s;
    struct tm utc;
    gmtime_r(&t, &utc);
    strftime(out, 16, "%Y-%m-%d", &utc);
}

static int list_json(const struct roster *roster)
{
    CLEANUP(close_record) struct record *record = record_new();
    record_put_text(record, "consortium", roster->consortium);
    record_put_number(record, "version", roster->version);
    record_put_list(record, "members");
    for (size_t i = 0; i < roster->count; i++) {
        const struct roster_member *m = &roster->members[i];
        struct record *item = record_put_item(record, "members");
        record_put_text(item, "name", m->name);
        record_put_text(item, "role", role_name(m->role));
        record_put_bytes(item, "sign_key", m->sign_key, sizeof m->sign_key);
        record_put_bytes(item, "serial", m->serial, sizeof m->serial);
        record_put_number(item, "added", m->added_s);
        record_put_flag(item, "is_revoked", m->revoked_s != 0);
        record_put_number(item, "revoked", m->revoked_s);
        record_put_text(item, "reason", m->reason);
    }
    return print_record(record);
}

static int list_table(const struct roster *roster)
{
    printf("%-20s %-12s %-10s %s\n", "NAME", "ROLE", "SINCE", "STATE");
    for (size_t i = 0; i < roster->count; i++) {
        const struct roster_member *m = &roster->members[i];
        char since[16], until[16];
        date_text(since, m->added_s);
        date_text(until, m->revoked_s);
        printf("%-20s %-12s %-10s ", m->name, role_name(m->role), since);
        if (m->revoked_s == 0)
            printf("member\n");
        else
            printf("revoked %s: %s\n", until, m->reason);
    }
    return CLI_OK;
}

static int site_list(int argc, char **argv)
{
    static const char help[] = "usage: consilium site list CONSORTIUM [--json]\n\n"
                               "Lists the members, with role and state.\n";
    if (helped(&argc, argv, help))
        return CLI_OK;
    bool json = cli_take_flag(&argc, argv, "--json");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("site list needs a consortium; --help tells more");
    CLEANUP(free_pointer) struct roster *roster = NULL;
    struct consortium c;
    struct why why;
    struct result r = consortium_open(argv[1], &c, &why);
    if (ok(r))
        r = consortium_roster(&c, &roster, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    return json ? list_json(roster) : list_table(roster);
}

static int site_release(int argc, char **argv)
{
    static const char help[] =
        "usage: consilium site release NAME --study STUDY --reason REASON [--as FOLDER] "
        "[--json]\n\n"
        "Ends the quarantine of a site in a study: its updates count again. For operators; the\n"
        "signed command and the reason stand in the log. consilium status tells who is\n"
        "quarantined and for what.\n";
    if (helped(&argc, argv, help))
        return CLI_OK;
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *study = cli_take_option(&argc, argv, "--study");
    const char *reason = cli_take_option(&argc, argv, "--reason");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2 || !study || !reason)
        return cli_usage("site release needs a name, --study and --reason; --help tells more");
    struct client_reply reply;
    struct why why;
    json_t *arguments =
        json_pack("{s:s, s:s, s:s}", "study", study, "site", argv[1], "reason", reason);
    if (!arguments)
        return cli_usage("the reason is no UTF-8");
    struct result r = ask(folder, "release", arguments, &reply, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    free(reply.text);
    if (!json) {
        puts(reply.sentence);
        return CLI_OK;
    }
    CLEANUP(close_record) struct record *record = record_new();
    record_put_text(record, "site", argv[1]);
    record_put_text(record, "study", study);
    record_put_text(record, "sentence", reply.sentence);
    return print_record(record);
}

int cmd_site(int argc, char **argv)
{
    static const struct cli_entry table[] = {
        {"request", site_request, "make a member's keys and a request"},
        {"approve", site_approve, "admit whoever made a request"},
        {"install", site_install, "install the bundle that answers a request"},
        {"revoke", site_revoke, "take a member out"},
        {"list", site_list, "list the members"},
        {"release", site_release, "end a site's quarantine in a study"},
        {NULL, NULL, NULL},
    };
    return cli_dispatch(table, "consilium site COMMAND [ARGUMENT ...]   (each takes --help)", argc,
                        argv);
}
