/* SPDX-License-Identifier: Apache-2.0 */
/* consilium audit: take the signed log and its objects home, and verify them without anybody. */
#include "coordinator/aggregate/aggregate.h"
#include "coordinator/cli/audit_prove.h"
#include "coordinator/cli/cli.h"
#include "coordinator/cli/client.h"
#include "coordinator/replay.h"
#include "proto/base/cleanup.h"
#include "proto/identity.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char EXPORT_USAGE[] =
    "usage: consilium audit export --out FOLDER [--as FOLDER] [--json]\n\n"
    "Fetches the audit log, launches and the sites' signed objects. For auditors and operators.\n";
static const char VERIFY_USAGE[] =
    "usage: consilium audit verify FOLDER [--as FOLDER] [--since COUNT:HASH] [--head FILE]\n"
    "                              [--threads N] [--log-only] [--json]\n\n"
    "Verifies an exported folder offline: chain, signatures, objects; computes every round and\n"
    "evaluation again and compares bit for bit.\n"
    "  --as FOLDER          identity whose coordinator key counts (default: $CONSILIUM_IDENTITY;\n"
    "                       without one the folder is only checked against itself)\n"
    "  --since COUNT:HASH   a head kept from before, which the log must contain\n"
    "  --head FILE          a tree head kept from before (tree.head of an earlier export), whose\n"
    "                       entries the log must still contain\n"
    "  --threads N          that compute the rounds; any number must give the same bits\n"
    "  --log-only           chain and signatures only\n";

/* The export under way. */
struct export
{
    struct client *client;
    const char *out;
    FILE *log;
    struct chain_head head;
    char signature[2 * CHAIN_SIGNATURE_BYTES + 1];
    uint64_t objects;
};

static struct result write_reply(const struct export *e, const char *part, const char *verb,
                                 const json_t *arguments, struct why *why)
{
    char path[FS_PATH_BYTES];
    struct client_reply reply = {0};
    CLEANUP(free_pointer) char *text = json_dumps(arguments, JSON_COMPACT);
    TRY(fs_join(path, e->out, part, why));
    TRY(client_ask(e->client, verb, text, strlen(text), CLIENT_TIMEOUT_S, &reply, why));
    struct result r = reply.exit_code == 0
                          ? fs_write_atomic(path, reply.text, reply.text_n, 0600, why)
                          : failed(why, RESULT_REFUSED, "%s", reply.sentence);
    free(reply.text);
    return r;
}

static struct result export_study(const struct export *e, const char *study, struct why *why)
{
    char part[FS_PATH_BYTES], path[FS_PATH_BYTES];
    json_t *arguments = json_pack("{s:s}", "study", study);
    snprintf(part, sizeof part, "studies/%s/objects", study);
    struct result r = fs_join(path, e->out, part, why);
    if (ok(r))
        r = fs_make_dirs(path, 0700, why);
    snprintf(part, sizeof part, "studies/%s/plan.yaml", study);
    if (ok(r))
        r = write_reply(e, part, "plan", arguments, why);
    snprintf(part, sizeof part, "studies/%s/launch.envelope", study);
    if (ok(r))
        r = write_reply(e, part, "envelope", arguments, why);
    json_decref(arguments);
    return r;
}

/* Becomes part of a path here: the coordinator must not choose where this machine writes. */
static bool safe_name(const char *name)
{
    return name && name[0] && name[0] != '.' && !strchr(name, '/') &&
           strlen(name) < PLAN_NAME_BYTES;
}

static struct result export_object(struct export *e, const json_t *entry, struct why *why)
{
    char part[FS_PATH_BYTES];
    const char *study = json_string_value(json_object_get(entry, "study"));
    const char *site = json_string_value(json_object_get(entry, "site"));
    json_int_t task = json_integer_value(json_object_get(entry, "task"));
    if (!safe_name(study) || !safe_name(site))
        return failed(why, RESULT_INPUT, "an entry of the log is malformed");
    json_t *arguments = json_pack("{s:s, s:s, s:I}", "study", study, "site", site, "task", task);
    snprintf(part, sizeof part, "studies/%s/objects/%lld-%s", study, (long long)task, site);
    struct result r = write_reply(e, part, "object", arguments, why);
    json_decref(arguments);
    e->objects += ok(r);
    return r;
}

static struct result export_line(struct export *e, const json_t *line, struct why *why)
{
    const json_t *text = json_object_get(line, "entry");
    const char *kind = json_string_value(json_object_get(line, "kind"));
    const char *study = json_string_value(json_object_get(line, "study"));
    const char *signature = json_string_value(json_object_get(line, "signature"));
    if (!json_is_string(text) || !kind || !study || (study[0] && !safe_name(study)) || !signature)
        return failed(why, RESULT_INPUT, "an entry of the log is malformed");
    if (json_dumpf(line, e->log, JSON_COMPACT) != 0 || fputc('\n', e->log) == EOF)
        return failed(why, RESULT_SYSTEM, "cannot write the log");
    chain_extend(&e->head, json_string_value(text), json_string_length(text));
    snprintf(e->signature, sizeof e->signature, "%s", signature);
    if (strcmp(kind, "launched") == 0)
        return export_study(e, study, why);
    if (strcmp(kind, "counted") != 0 && strcmp(kind, "set-aside") != 0)
        return DONE;
    json_t *entry = json_loadb(json_string_value(text), json_string_length(text), 0, NULL);
    struct result r = export_object(e, entry, why);
    json_decref(entry);
    return r;
}

static struct result export_log(struct export *e, struct why *why)
{
    for (bool more = true; more;) {
        struct client_reply reply = {0};
        TRY(client_request(e->client, "log", NULL, (long long)e->head.count, &reply, why));
        json_t *root = json_loadb((const char *)reply.text, reply.text_n, 0, NULL);
        free(reply.text);
        const json_t *entries = json_object_get(root, "entries");
        struct result r = DONE;
        more = json_array_size(entries) > 0;
        for (size_t i = 0; ok(r) && i < json_array_size(entries); i++)
            r = export_line(e, json_array_get(entries, i), why);
        json_decref(root);
        TRY(r);
    }
    return DONE;
}

static struct result write_head(const struct export *e, const struct identity *self,
                                struct why *why)
{
    char path[FS_PATH_BYTES], hash[2 * CHAIN_HASH_BYTES + 1], key[2 * CHAIN_PUBLIC_BYTES + 1];
    sodium_bin2hex(hash, sizeof hash, e->head.hash, CHAIN_HASH_BYTES);
    sodium_bin2hex(key, sizeof key, self->coordinator.sign_key, CHAIN_PUBLIC_BYTES);
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:s, s:s}", "consortium", self->consortium, "coordinator_key",
                  key, "count", (json_int_t)e->head.count, "hash", hash, "signature", e->signature);
    CLEANUP(free_pointer) char *text = json_dumps(o, JSON_INDENT(1));
    json_decref(o);
    TRY(fs_join(path, e->out, "head.json", why));
    return fs_write_atomic(path, text, strlen(text), 0600, why);
}

static struct result export_all(const char *folder, struct export *e, struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_make_dirs(e->out, 0700, why));
    TRY(fs_join(path, e->out, "head.json", why));
    if (fs_exists(path))
        return failed(why, RESULT_INPUT, "%s already holds an export", e->out);
    TRY(fs_join(path, e->out, "log.jsonl", why));
    TRY(client_open(folder, &e->client, why));
    CLEANUP(close_file) FILE *log = fopen(path, "we");
    if (!log)
        return failed(why, RESULT_SYSTEM, "cannot write %s", path);
    e->log = log;
    /* Before the log: heads must not be ahead of what is fetched. */
    json_t *nothing = json_object();
    struct result head = write_reply(e, "witnesses.json", "witnesses", nothing, why);
    if (ok(head))
        head = write_reply(e, "tree.head", "head", nothing, why);
    json_decref(nothing);
    TRY(head);
    TRY(export_log(e, why));
    if (fflush(log) != 0)
        return failed(why, RESULT_SYSTEM, "cannot write %s", path);
    return write_head(e, client_identity(e->client), why);
}

static int cmd_export(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(EXPORT_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    struct export e = {.out = cli_take_option(&argc, argv, "--out")};
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 1 || !e.out)
        return cli_usage("audit export needs --out FOLDER; --help tells more");
    struct why why;
    struct result r = export_all(folder, &e, &why);
    client_close(e.client);
    if (!ok(r))
        return cli_fail(r, &why);
    printf(json ? "{\"entries\":%llu,\"objects\":%llu,\"out\":\"%s\"}\n"
                : "%llu entries and %llu signed objects are in %s\n",
           (unsigned long long)e.head.count, (unsigned long long)e.objects, e.out);
    return CLI_OK;
}

static struct result parse_since(const char *text, struct chain_head *since, struct why *why)
{
    char *end = NULL;
    size_t n = 0;
    if (!text)
        return DONE;
    since->count = strtoull(text, &end, 10);
    if (since->count == 0 || *end != ':' ||
        sodium_hex2bin(since->hash, CHAIN_HASH_BYTES, end + 1, strlen(end + 1), NULL, &n, NULL) !=
            0 ||
        n != CHAIN_HASH_BYTES)
        return failed(why, RESULT_INPUT, "--since is COUNT:HASH, as verify prints it");
    return DONE;
}

static void print_count(uint64_t n, const char *one, const char *many, const char *after)
{
    printf("%llu %s%s", (unsigned long long)n, n == 1 ? one : many, after);
}

static void print_outcome(const struct replay_outcome *o, bool json, bool pinned)
{
    char hash[2 * CHAIN_HASH_BYTES + 1];
    sodium_bin2hex(hash, sizeof hash, o->head.hash, CHAIN_HASH_BYTES);
    if (json) {
        printf("{\"verified\":true,\"key_known\":%s,\"entries\":%llu,\"head\":\"%s\","
               "\"studies\":%llu,\"objects\":%llu,\"rounds\":%llu,\"evaluations\":%llu,"
               "\"gates\":%llu,\"validations\":%llu,\"looks\":%llu,\"tree_heads\":%llu,"
               "\"witnesses\":%llu}\n",
               pinned ? "true" : "false", (unsigned long long)o->head.count, hash,
               (unsigned long long)o->studies, (unsigned long long)o->objects,
               (unsigned long long)o->rounds, (unsigned long long)o->evaluations,
               (unsigned long long)o->gates, (unsigned long long)o->validations,
               (unsigned long long)o->looks, (unsigned long long)o->tree_heads,
               (unsigned long long)o->witnesses);
        return;
    }
    printf("audit log verified: %llu entries, head %llu:%s\n", (unsigned long long)o->head.count,
           (unsigned long long)o->head.count, hash);
    print_count(o->studies, "study", "studies", ", ");
    print_count(o->objects, "signed object", "signed objects", "; ");
    print_count(o->rounds, "round", "rounds", ", ");
    print_count(o->evaluations, "evaluation", "evaluations", " and ");
    print_count(o->gates, "gate decision", "gate decisions",
                " computed again, equal bit for bit\n");
    print_count(o->validations, "validation of a finished model", "validations of finished models",
                " and ");
    print_count(o->looks, "look of monitoring", "looks of monitoring", " computed again\n");
    print_count(o->tree_heads, "signed tree head holds", "signed tree heads hold", "; ");
    print_count(o->witnesses, "site signed as witness", "sites signed as witnesses", "\n");
    if (!pinned)
        puts("note: checked with the key in head.json; --as FOLDER checks it is the coordinator's");
    if (o->tree_heads == 0)
        puts("note: there is no tree.head of this log here: an export writes one");
    if (o->witnesses == 0)
        puts("note: no site's signature is here: only the coordinator vouches that no other log is "
             "shown to others; compare the head with one that a site or an earlier export holds");
}

/* A failure for programs, beside the sentence for people. */
static int print_failure(struct result r, const struct why *why, bool json)
{
    if (json) {
        json_t *o = json_pack("{s:b, s:s}", "verified", 0, "reason", why->text);
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(o);
    }
    return cli_fail(r, why);
}

static bool parse_threads(const char *text, unsigned *ret_threads)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);
    *ret_threads = (unsigned)n;
    return end != text && *end == '\0' && n >= 1 && n <= AGG_THREADS_MAX;
}

static int cmd_verify(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(VERIFY_USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    struct replay_options options = {.log_only = cli_take_flag(&argc, argv, "--log-only")};
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *since = cli_take_option(&argc, argv, "--since");
    options.tree_head = cli_take_option(&argc, argv, "--head");
    if (!folder)
        folder = getenv("CONSILIUM_IDENTITY");
    const char *threads = cli_take_option(&argc, argv, "--threads");
    if (threads && !parse_threads(threads, &options.threads))
        return cli_usage("--threads is a number from 1 to %d", AGG_THREADS_MAX);
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("audit verify takes one folder; --help tells more");
    struct identity self;
    struct replay_outcome outcome;
    struct why why;
    options.folder = argv[1];
    struct result r = parse_since(since, &options.since, &why);
    if (ok(r) && folder) {
        r = identity_load_enrolled(folder, &self, &why);
        options.key = self.coordinator.sign_key;
    }
    if (ok(r))
        r = replay_verify(&options, &outcome, &why);
    if (!ok(r))
        return print_failure(r, &why, json);
    print_outcome(&outcome, json, folder != NULL);
    return CLI_OK;
}

static const struct cli_entry AUDIT_COMMANDS[] = {
    {"export", cmd_export, "fetch the log and its objects"},
    {"prove", audit_prove, "prove that one entry stands in the log, or check such a proof"},
    {"verify", cmd_verify, "verify an export offline, and compute every round again"},
    {NULL, NULL, NULL},
};

int cmd_audit(int argc, char **argv)
{
    return cli_dispatch(AUDIT_COMMANDS, "consilium audit COMMAND [ARGUMENT ...]", argc, argv);
}
