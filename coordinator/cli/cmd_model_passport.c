/* SPDX-License-Identifier: Apache-2.0 */
/* consilium model passport: a promoted model's signed passport fetched, or one verified offline. */
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cmd_model.h"
#include "coordinator/replay.h"
#include "coordinator/validate/dsse.h"
#include "coordinator/validate/passport.h"
#include "proto/base/cleanup.h"
#include "proto/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: consilium model passport MODEL --out FILE [--as FOLDER] [--json]\n"
    "       consilium model passport --verify FILE [--audit FOLDER] [--as FOLDER] [--json]\n\n"
    "Fetches the signed passport of a model in use, or checks one: the coordinator's signature\n"
    "and the proof that its gate decision is in the audit log. With an exported audit folder\n"
    "also that this log is that log, and that the model is still in use by it.\n"
    "  --out FILE      where the passport is written\n"
    "  --verify FILE   a passport\n"
    "  --audit FOLDER  of consilium audit export\n";

/* What a verified passport says. */
struct passport_seen {
    json_t *text;
    uint64_t tree_size;
    struct merkle_hash root;
};

static struct result check_signature(const char *envelope, size_t n, const char *folder,
                                     struct passport_seen *seen, struct why *why)
{
    struct identity self;
    CLEANUP(free_pointer) char *text = NULL;
    size_t text_n = 0;
    TRY(identity_load_enrolled(folder, &self, why));
    struct dsse_key key = {.keyid = self.coordinator.name, .public_key = self.coordinator.sign_key};
    struct result r = dsse_open(envelope, n, PASSPORT_TYPE, 1, &key, 1, &text, &text_n, NULL, why);
    if (!ok(r))
        return failed_in(why, r, "the passport is not as the coordinator signed it");
    TRY(passport_check(text, text_n, &seen->tree_size, &seen->root, why));
    seen->text = json_loadb(text, text_n, 0, NULL);
    return seen->text ? DONE : failed(why, RESULT_INPUT, "the passport is no JSON");
}

/* The log so far, and what its last entry about the model's stage says. */
struct log_walk {
    const char *model;
    struct merkle_frontier frontier;
    struct merkle_hash root; /* at the passport's size */
    uint64_t size;
    bool reached;
    char stage[32];
};

static void walk_line(struct log_walk *walk, const json_t *line)
{
    const json_t *text = json_object_get(line, "entry");
    if (!json_is_string(text))
        return;
    struct merkle_hash leaf = merkle_leaf(json_string_value(text), json_string_length(text));
    merkle_frontier_add(&walk->frontier, &leaf);
    if (walk->frontier.size == walk->size) {
        walk->root = merkle_frontier_root(&walk->frontier);
        walk->reached = true;
    }
    if (strcmp(ask_text(line, "kind"), "stage") != 0)
        return;
    json_t *entry = json_loadb(json_string_value(text), json_string_length(text), 0, NULL);
    if (strcmp(ask_text(entry, "model"), walk->model) == 0)
        snprintf(walk->stage, sizeof walk->stage, "%s", ask_text(entry, "to"));
    json_decref(entry);
}

static struct result check_log(const char *folder, const struct passport_seen *seen,
                               struct why *why)
{
    char path[FS_PATH_BYTES];
    struct log_walk walk = {.model = ask_text(json_object_get(seen->text, "model"), "id"),
                            .size = seen->tree_size};
    TRY(fs_join(path, folder, "log.jsonl", why));
    CLEANUP(free_pointer) char *line = malloc(REPLAY_LINE_MAX);
    CLEANUP(close_file) FILE *file = fopen(path, "re");
    if (!line || !file)
        return failed(why, RESULT_INPUT, "cannot read %s", path);
    while (fgets(line, REPLAY_LINE_MAX, file)) {
        json_t *object = json_loads(line, 0, NULL);
        walk_line(&walk, object);
        json_decref(object);
    }
    if (!walk.reached)
        return failed(why, RESULT_REFUSED, "the log has only %llu of the passport's %llu entries",
                      (unsigned long long)walk.frontier.size, (unsigned long long)walk.size);
    if (memcmp(&walk.root, &seen->root, sizeof walk.root) != 0)
        return failed(why, RESULT_REFUSED, "the passport's log is not this log");
    if (strcmp(walk.stage, "promoted") != 0)
        return failed(why, RESULT_REFUSED, "the model is %s by now: the passport is revoked",
                      walk.stage[0] ? walk.stage : "not promoted");
    return DONE;
}

static int verify(const char *path, const char *folder, const char *audit, bool json)
{
    struct passport_seen seen = {0};
    CLEANUP(free_pointer) char *envelope = NULL;
    size_t n = 0;
    struct why why;
    struct result r = folder ? fs_read(path, DSSE_ENVELOPE_MAX, &envelope, &n, &why)
                             : failed(&why, RESULT_INPUT,
                                      "say whose coordinator counts: --as FOLDER, or set "
                                      "CONSILIUM_IDENTITY");
    if (ok(r))
        r = check_signature(envelope, n, folder, &seen, &why);
    if (ok(r) && audit)
        r = check_log(audit, &seen, &why);
    if (ok(r) && json) {
        json_dumpf(seen.text, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (ok(r)) {
        const json_t *model = json_object_get(seen.text, "model");
        const json_t *judged = json_array_get(json_object_get(seen.text, "validation"), 0);
        printf("passport verified: %s, model %.12s, gate %s, %s since %s\n",
               ask_text(model, "name"), ask_text(model, "id"), ask_text(judged, "decision"),
               ask_text(json_object_get(seen.text, "deployment"), "stage"),
               ask_text(json_object_get(seen.text, "deployment"), "stage_since"));
        puts(audit ? "its log is the exported log, and the model is in use by it"
                   : "note: --audit FOLDER also checks the log and that it is not revoked");
    }
    json_decref(seen.text);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}

static int fetch(const char *model, const char *folder, const char *out, bool json)
{
    struct client_reply reply;
    struct why why;
    struct result r = ask(folder, "passport", json_pack("{s:s}", "model", model), &reply, &why);
    if (ok(r) && !reply.text)
        r = failed(&why, RESULT_INPUT, "the coordinator sent no passport");
    if (ok(r))
        r = fs_write_atomic(out, reply.text, reply.text_n, 0644, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    printf(json ? "{\"model\":\"%s\",\"out\":\"%s\"}\n" : "%s: the signed passport is in %s\n",
           model, out);
    free(reply.text);
    return CLI_OK;
}

int model_passport(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *path = cli_take_option(&argc, argv, "--verify");
    const char *audit = cli_take_option(&argc, argv, "--audit");
    const char *out = cli_take_option(&argc, argv, "--out");
    if (path && argc == 1 && !out)
        return verify(path, folder ? folder : getenv("CONSILIUM_IDENTITY"), audit, json);
    if (path || argc != 2 || !out)
        return cli_usage("model passport takes a model and --out FILE, or --verify FILE");
    return fetch(argv[1], folder, out, json);
}
