/* SPDX-License-Identifier: Apache-2.0 */
/* consilium model passport: a promoted model's signed passport fetched, or one verified offline. */
#include "coordinator/cli/ask.h"
#include "coordinator/cli/cmd_model.h"
#include "coordinator/cli/passport_chai.h"
#include "coordinator/human_part.h"
#include "coordinator/paper.h"
#include "coordinator/replay.h"
#include "coordinator/tree_head.h"
#include "coordinator/validate/dsse.h"
#include "coordinator/validate/passport.h"
#include "proto/base/cleanup.h"
#include "proto/identity.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double HEAD_AGE_DAYS = 30.0;

static const char USAGE[] =
    "usage: consilium model passport MODEL --out FILE [--as FOLDER] [--json]\n"
    "       consilium model passport --verify FILE [--audit FOLDER] [--max-age DAYS] [--as "
    "FOLDER]\n"
    "                                [--format chai --out FILE] [--json]\n"
    "       consilium model passport --sign-human FILE MODEL [--as FOLDER] [--json]\n\n"
    "Fetches the signed passport of a model in use, or checks one: the coordinator's signature\n"
    "and the proof that its gate decision is in the audit log. With an exported audit folder\n"
    "also that this log is that log, and that the model is still in use by it.\n"
    "  --out FILE      where the passport is written\n"
    "  --verify FILE   a passport\n"
    "  --audit FOLDER  of consilium audit export\n"
    "  --max-age DAYS  oldest signed head of that log that is taken (30)\n"
    "  --format chai   writes the verified passport to --out FILE as an Applied Model Card\n"
    "  --sign-human FILE  signs intended use, warnings and clinical risk (docs/gate.md)\n";

/* What a verified passport says. */
struct passport_seen {
    json_t *text;
    unsigned char key[DSSE_PUBLIC_BYTES]; /* of the coordinator */
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
    memcpy(seen->key, self.coordinator.sign_key, sizeof seen->key);
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
    char human[PAPER_HASH_BYTES], human_kind[PAPER_KIND_BYTES]; /* the human part in force */
    bool human_signed;
    struct tree_head head;
    bool head_reached, head_same;
    json_t *keys; /* of the sites by name, as the log names them last */
};

/* The log names a site's key where the site allows a study. */
static void walk_allowed(struct log_walk *walk, const char *text, size_t n)
{
    json_t *entry = json_loadb(text, n, 0, NULL);
    json_object_set(walk->keys, ask_text(entry, "site"), json_object_get(entry, "sign_key"));
    json_decref(entry);
}

/* Who signed the human part, and which one is in force. */
static void walk_paper(struct log_walk *walk, const char *text, size_t n)
{
    json_t *entry = json_loadb(text, n, 0, NULL);
    const char *sha256 = ask_text(entry, "sha256"), *envelope = ask_text(entry, "envelope");
    const char *hex = ask_text(entry, "sign_key");
    unsigned char key[DSSE_PUBLIC_BYTES];
    char *document = NULL, hash[PAPER_HASH_BYTES];
    size_t have = 0, document_n = 0;
    struct why why;
    if (strcmp(ask_text(entry, "paper"), walk->human_kind) != 0) {
        json_decref(entry);
        return;
    }
    struct dsse_key signer = {.keyid = "signer", .public_key = key};
    if (!envelope[0]) {
        snprintf(walk->human, sizeof walk->human, "%s", sha256);
    } else if (sodium_hex2bin(key, sizeof key, hex, strlen(hex), NULL, &have, NULL) == 0 &&
               have == sizeof key &&
               ok(dsse_open(envelope, strlen(envelope), PASSPORT_HUMAN_TYPE, 1, &signer, 1,
                            &document, &document_n, NULL, &why))) {
        paper_hash(document, document_n, hash);
        walk->human_signed = strcmp(hash, sha256) == 0;
    }
    free(document);
    json_decref(entry);
}

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
    if (walk->frontier.size == walk->head.size) {
        struct merkle_hash root = merkle_frontier_root(&walk->frontier);
        walk->head_reached = true;
        walk->head_same = memcmp(&root, &walk->head.root, sizeof root) == 0;
    }
    if (strncmp(ask_text(line, "kind"), "paper", 5) == 0)
        walk_paper(walk, json_string_value(text), json_string_length(text));
    if (strcmp(ask_text(line, "kind"), "allowed") == 0)
        walk_allowed(walk, json_string_value(text), json_string_length(text));
    if (strcmp(ask_text(line, "kind"), "stage") != 0)
        return;
    json_t *entry = json_loadb(json_string_value(text), json_string_length(text), 0, NULL);
    if (strcmp(ask_text(entry, "model"), walk->model) == 0)
        snprintf(walk->stage, sizeof walk->stage, "%s", ask_text(entry, "to"));
    json_decref(entry);
}

/* The folder's signed head: not older than max_days, and of this very log. */
static struct result read_head(const char *folder, const unsigned char *key, double max_days,
                               struct tree_head *head, struct why *why)
{
    char path[FS_PATH_BYTES];
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_join(path, folder, "tree.head", why));
    TRY(fs_read(path, TREE_HEAD_BYTES_MAX, &text, &n, why));
    struct result r = tree_head_open(text, n, key, head, why);
    if (!ok(r))
        return failed_in(why, r, "%s", path);
    double days = difftime(time(NULL), (time_t)(head->ms / 1000)) / 86400.0;
    if (days > max_days)
        return failed(why, RESULT_REFUSED,
                      "the log's signed head is %.1f days old, %.1f are allowed: export it again",
                      days, max_days);
    return DONE;
}

/* The passport's human part is the one in force, and somebody signed it. */
static struct result check_human(const struct passport_seen *seen, const struct log_walk *walk,
                                 struct why *why)
{
    const char *human = ask_text(seen->text, "human_sha256");
    if (strcmp(human, walk->human) != 0)
        return failed(why, RESULT_REFUSED,
                      "the human part (%.12s) is not the one in force (%.12s): fetch the passport "
                      "again",
                      human[0] ? human : "none", walk->human[0] ? walk->human : "none");
    if (human[0] && !walk->human_signed)
        return failed(why, RESULT_REFUSED, "the log holds no valid signature on the human part");
    return DONE;
}

static const json_t *witnesses_of(const struct passport_seen *seen)
{
    return json_object_get(json_object_get(seen->text, "log"), "witnesses");
}

/* A witness whose site the log knows signed with the key that the log names. */
static struct result check_witnesses(const json_t *list, const json_t *keys, struct why *why)
{
    size_t i;
    json_t *witness;
    json_array_foreach(list, i, witness)
    {
        const char *site = ask_text(witness, "site"), *key = ask_text(keys, site);
        if (key[0] && strcmp(key, ask_text(witness, "key")) != 0)
            return failed(why, RESULT_REFUSED,
                          "the log names another key for witness %.64s than the passport", site);
    }
    return DONE;
}

static void drop_json(json_t **value)
{
    json_decref(*value);
}

static struct result check_log(const char *folder, const struct passport_seen *seen,
                               const unsigned char *key, double max_days, struct why *why)
{
    char path[FS_PATH_BYTES];
    CLEANUP(drop_json) json_t *keys = json_object();
    struct log_walk walk = {.model = ask_text(json_object_get(seen->text, "model"), "id"),
                            .size = seen->tree_size,
                            .keys = keys};
    snprintf(walk.human_kind, sizeof walk.human_kind, HUMAN_KIND "%.70s", walk.model);
    TRY(read_head(folder, key, max_days, &walk.head, why));
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
    if (!walk.head_reached || !walk.head_same)
        return failed(why, RESULT_REFUSED, "the log is not the one of its signed head");
    TRY(check_witnesses(witnesses_of(seen), walk.keys, why));
    TRY(check_human(seen, &walk, why));
    if (strcmp(walk.stage, "promoted") != 0)
        return failed(why, RESULT_REFUSED, "the model is %s by now: the passport is revoked",
                      walk.stage[0] ? walk.stage : "not promoted");
    return DONE;
}

static void print_witnesses(const json_t *list)
{
    size_t i;
    json_t *witness;
    if (json_array_size(list) == 0)
        puts("no site has signed a head of its log yet");
    json_array_foreach(list, i, witness)
        printf("%s%s (%lld entries)%s", i == 0 ? "its log extends the heads signed by " : ", ",
               ask_text(witness, "site"), json_integer_value(json_object_get(witness, "size")),
               i + 1 == json_array_size(list) ? "\n" : "");
}

static void tell(const struct passport_seen *seen, const char *audit)
{
    const json_t *model = json_object_get(seen->text, "model");
    const json_t *judged = json_array_get(json_object_get(seen->text, "validation"), 0);
    const json_t *use = json_object_get(seen->text, "intended_use");
    printf("passport verified: %s, model %.12s, gate %s, %s since %s\n", ask_text(model, "name"),
           ask_text(model, "id"), ask_text(judged, "decision"),
           ask_text(json_object_get(seen->text, "deployment"), "stage"),
           ask_text(json_object_get(seen->text, "deployment"), "stage_since"));
    if (use)
        printf("intended use signed by %s (%s), clinical risk %s\n", ask_text(use, "signed_by"),
               ask_text(use, "role"), ask_text(use, "clinical_risk_level"));
    else
        puts("nobody has signed its intended use, warnings and clinical risk yet");
    print_witnesses(witnesses_of(seen));
    puts(audit ? "its log is the exported log, and the model is in use by it"
               : "note: --audit FOLDER also checks the log and that it is not revoked");
}

static struct result write_chai(const struct passport_seen *seen, const char *path, struct why *why)
{
    CLEANUP(free_pointer) char *xml = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&xml, &n);
    if (!out)
        return failed(why, RESULT_SYSTEM, "out of memory for the model card");
    passport_chai(out, seen->text);
    if (fclose(out) != 0)
        return failed(why, RESULT_SYSTEM, "out of memory for the model card");
    return fs_write_atomic(path, xml, n, 0644, why);
}

/* What to verify, and what to do with it then. */
struct verifying {
    const char *path, *folder, *audit, *card;
    double max_days;
    bool json;
};

static int verify(const struct verifying *v)
{
    struct passport_seen seen = {0};
    CLEANUP(free_pointer) char *envelope = NULL;
    size_t n = 0;
    struct why why;
    struct result r = v->folder ? fs_read(v->path, DSSE_ENVELOPE_MAX, &envelope, &n, &why)
                                : failed(&why, RESULT_INPUT,
                                         "say whose coordinator counts: --as FOLDER, or set "
                                         "CONSILIUM_IDENTITY");
    if (ok(r))
        r = check_signature(envelope, n, v->folder, &seen, &why);
    if (ok(r) && v->audit)
        r = check_log(v->audit, &seen, seen.key, v->max_days, &why);
    if (ok(r) && v->card)
        r = write_chai(&seen, v->card, &why);
    if (ok(r) && v->json) {
        json_dumpf(seen.text, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (ok(r)) {
        tell(&seen, v->audit);
    }
    json_decref(seen.text);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}

static struct result seal_human(const char *folder, const char *path, const char *model,
                                json_t **ret_arguments, struct why *why)
{
    struct identity self;
    struct identity_secrets secrets = {0};
    json_t *answer = NULL;
    char kind[PAPER_KIND_BYTES];
    CLEANUP(free_pointer) char *text = NULL, *envelope = NULL;
    size_t n = 0;
    TRY(fs_read(path, PAPER_BYTES_MAX, &text, &n, why));
    TRY(ask_json(folder, "models", json_pack("{s:s}", "model", model), &answer, why));
    snprintf(kind, sizeof kind, HUMAN_KIND "%.70s", ask_text(answer, "model"));
    json_decref(answer);
    struct result r = human_part_check(kind, text, n, why);
    if (!ok(r))
        return failed_in(why, r, "%s", path);
    TRY(identity_load_enrolled(folder, &self, why));
    TRY(identity_load_secrets(&self, &secrets, why));
    struct dsse_signer signer = {.keyid = self.self.name, .secret = secrets.sign};
    r = dsse_seal(PASSPORT_HUMAN_TYPE, text, n, 1, &signer, &envelope, why);
    identity_wipe(&secrets);
    TRY(r);
    *ret_arguments = json_pack("{s:s, s:s}", "kind", kind, "envelope", envelope);
    return DONE;
}

static int sign_human(const char *path, const char *model, const char *folder, bool json)
{
    json_t *arguments = NULL, *answer = NULL;
    struct why why;
    struct result r = folder ? seal_human(folder, path, model, &arguments, &why)
                             : failed(&why, RESULT_INPUT,
                                      "say who you are: --as FOLDER, or set CONSILIUM_IDENTITY");
    if (ok(r))
        r = ask_json(folder, "paper", arguments, &answer, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json)
        json_dumpf(answer, stdout, JSON_COMPACT);
    else
        fputs(ask_text(answer, "sentence"), stdout);
    putchar('\n');
    json_decref(answer);
    return CLI_OK;
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
    const char *out = cli_take_option(&argc, argv, "--out");
    const char *human = cli_take_option(&argc, argv, "--sign-human");
    const char *format = cli_take_option(&argc, argv, "--format");
    const char *days = cli_take_option(&argc, argv, "--max-age");
    struct verifying v = {
        .path = cli_take_option(&argc, argv, "--verify"),
        .audit = cli_take_option(&argc, argv, "--audit"),
        .folder = folder ? folder : getenv("CONSILIUM_IDENTITY"),
        .card = out,
        .max_days = days ? strtod(days, NULL) : HEAD_AGE_DAYS,
        .json = json,
    };
    if (format && strcmp(format, "chai") != 0)
        return cli_usage("--format knows only 'chai'");
    if (days && !(v.max_days > 0))
        return cli_usage("--max-age is a number of days");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (human && argc == 2 && !v.path && !out)
        return sign_human(human, argv[1], v.folder, json);
    if (v.path && argc == 1 && !human && !out == !format)
        return verify(&v);
    if (v.path || human || format || argc != 2 || !out)
        return cli_usage("model passport takes a model and --out FILE, --verify FILE, or "
                         "--sign-human FILE and a model");
    return fetch(argv[1], folder, out, json);
}
