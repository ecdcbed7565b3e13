/* SPDX-License-Identifier: Apache-2.0 */
/* consilium audit prove: that one entry stands in the log, for somebody who has neither the log nor
 * a reason to trust whoever shows the entry. */
#include "coordinator/cli/audit_prove.h"

#include "coordinator/chain.h"
#include "coordinator/merkle_log.h"
#include "coordinator/replay.h"
#include "coordinator/tree_head.h"
#include "proto/base/cleanup.h"
#include "proto/base/cli.h"
#include "proto/identity.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: consilium audit prove FOLDER --entry N [--out FILE]\n"
    "       consilium audit prove --check FILE [--as FOLDER] [--json]\n\n"
    "Proves that entry N stands in the exported log under its signed tree head, which the sites\n"
    "signed too: a document of about a page that is checked without the log.\n"
    "  --check FILE   checks such a document: the proof, the coordinator's and the witnesses'\n"
    "                 signatures\n"
    "  --as FOLDER    identity whose coordinator key counts (default: $CONSILIUM_IDENTITY)\n";

enum { PROOF_BYTES_MAX = CHAIN_ENTRY_MAX + (4 << 20) };

struct prover {
    struct merkle_log tree;
    struct tree_head head; /* of the export */
    char *head_text;
    char *entry; /* the wanted one */
    uint64_t wanted;
    unsigned char key[CHAIN_PUBLIC_BYTES];
};

static void prover_free(struct prover *p)
{
    merkle_log_free(&p->tree);
    free(p->head_text);
    free(p->entry);
}

static struct result part(const char *folder, const char *name, size_t most, char **ret_text,
                          size_t *ret_n, struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_join(path, folder, name, why));
    return fs_read(path, most, ret_text, ret_n, why);
}

static json_t *hex(const void *bytes, size_t n)
{
    char text[2 * MERKLE_HASH_BYTES + 1];
    return json_string(sodium_bin2hex(text, sizeof text, bytes, n));
}

static bool from_hex(const json_t *value, unsigned char *out, size_t n)
{
    size_t have = 0;
    const char *text = json_string_value(value);
    return text && sodium_hex2bin(out, n, text, strlen(text), NULL, &have, NULL) == 0 && have == n;
}

static struct result read_head(const char *folder, struct prover *p, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(part(folder, "head.json", TREE_HEAD_BYTES_MAX, &text, &n, why));
    json_t *head = json_loadb(text, n, 0, NULL);
    bool good = from_hex(json_object_get(head, "coordinator_key"), p->key, sizeof p->key);
    json_decref(head);
    if (!good)
        return failed(why, RESULT_INPUT, "head.json is malformed");
    TRY(part(folder, "tree.head", TREE_HEAD_BYTES_MAX, &p->head_text, &n, why));
    return tree_head_open(p->head_text, n, p->key, &p->head, why);
}

static struct result take_line(struct prover *p, const char *line, struct why *why)
{
    json_t *o = json_loads(line, 0, NULL);
    const json_t *entry = json_object_get(o, "entry");
    struct merkle_hash leaf = merkle_leaf(json_string_value(entry) ? json_string_value(entry) : "",
                                          json_string_length(entry));
    struct result r = DONE;
    if (!json_is_string(entry) || !merkle_log_add(&p->tree, &leaf))
        r = failed(why, RESULT_INPUT, "entry %zu of the log is malformed", p->tree.size + 1);
    else if (p->tree.size == p->wanted)
        p->entry = strdup(json_string_value(entry));
    json_decref(o);
    return r;
}

static struct result read_log(const char *folder, struct prover *p, struct why *why)
{
    char path[FS_PATH_BYTES];
    TRY(fs_join(path, folder, "log.jsonl", why));
    CLEANUP(close_file) FILE *file = fopen(path, "re");
    CLEANUP(free_pointer) char *line = malloc(REPLAY_LINE_MAX);
    if (!file || !line)
        return failed(why, RESULT_INPUT, "cannot open %s", path);
    while (p->tree.size < p->head.size && fgets(line, REPLAY_LINE_MAX, file))
        TRY(take_line(p, line, why));
    if (p->wanted < 1 || p->wanted > p->tree.size || !p->entry)
        return failed(why, RESULT_INPUT, "--entry is one of the %llu entries under the tree head",
                      (unsigned long long)p->head.size);
    struct merkle_hash root = merkle_log_root(&p->tree, p->tree.size);
    if (p->tree.size != p->head.size || memcmp(&root, &p->head.root, sizeof root) != 0)
        return failed(why, RESULT_REFUSED, "the log is not the one of the signed tree head");
    return DONE;
}

/* The witnesses whose heads can be shown to be part of the same log. */
static json_t *witnesses_of(const char *folder, const struct prover *p)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    json_t *out = json_array();
    if (!ok(part(folder, "witnesses.json", PROOF_BYTES_MAX, &text, &n, NULL)))
        return out;
    json_t *root = json_loadb(text, n, 0, NULL);
    const json_t *list = json_object_get(root, "witnesses");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_deep_copy(json_array_get(list, i));
        struct merkle_proof proof;
        json_int_t size = json_integer_value(json_object_get(one, "size"));
        bool within = size > 0 && (uint64_t)size <= p->head.size &&
                      merkle_log_consistency(&p->tree, (size_t)p->head.size, (size_t)size, &proof);
        json_t *hashes = json_array();
        for (size_t k = 0; within && k < proof.count; k++)
            json_array_append_new(hashes, hex(proof.hash[k].bytes, MERKLE_HASH_BYTES));
        json_object_set_new(one, "consistency", hashes);
        if (within)
            json_array_append(out, one);
        json_decref(one);
    }
    json_decref(root);
    return out;
}

static struct result prove(const char *folder, struct prover *p, char **ret_text, struct why *why)
{
    struct merkle_proof proof;
    TRY(read_head(folder, p, why));
    TRY(read_log(folder, p, why));
    if (!merkle_log_inclusion(&p->tree, p->tree.size, (size_t)p->wanted - 1, &proof))
        return failed(why, RESULT_INPUT, "there is no entry %llu", (unsigned long long)p->wanted);
    json_t *hashes = json_array();
    for (size_t k = 0; k < proof.count; k++)
        json_array_append_new(hashes, hex(proof.hash[k].bytes, MERKLE_HASH_BYTES));
    json_t *o =
        json_pack("{s:s, s:I, s:s, s:o, s:s, s:o, s:o}", "type", "consilium inclusion proof 1",
                  "entry_number", (json_int_t)p->wanted, "entry", p->entry, "inclusion", hashes,
                  "tree_head", p->head_text, "coordinator_key", hex(p->key, sizeof p->key),
                  "witnesses", witnesses_of(folder, p));
    *ret_text = json_dumps(o, JSON_INDENT(1));
    json_decref(o);
    return *ret_text ? DONE : failed(why, RESULT_SYSTEM, "out of memory for the proof");
}

static bool read_proof(const json_t *list, struct merkle_proof *proof)
{
    proof->count = json_array_size(list);
    if (!json_is_array(list) || proof->count > MERKLE_PROOF_MAX)
        return false;
    for (size_t k = 0; k < proof->count; k++)
        if (!from_hex(json_array_get(list, k), proof->hash[k].bytes, MERKLE_HASH_BYTES))
            return false;
    return true;
}

/* What a document shows. */
struct shown {
    uint64_t number, size;
    char *entry;
    size_t witnesses;
};

static struct result check_witness(const json_t *one, const struct tree_head *head, struct why *why)
{
    struct tree_head held = *head;
    unsigned char key[TREE_HEAD_PUBLIC_BYTES], signature[TREE_HEAD_SIGNATURE_BYTES];
    struct merkle_proof proof;
    const char *site = json_string_value(json_object_get(one, "site"));
    held.size = (uint64_t)json_integer_value(json_object_get(one, "size"));
    held.ms = (uint64_t)json_integer_value(json_object_get(one, "ms"));
    if (!site || !from_hex(json_object_get(one, "root"), held.root.bytes, MERKLE_HASH_BYTES) ||
        !from_hex(json_object_get(one, "key"), key, sizeof key) ||
        !from_hex(json_object_get(one, "signature"), signature, sizeof signature) ||
        !read_proof(json_object_get(one, "consistency"), &proof))
        return failed(why, RESULT_INPUT, "a witness is malformed");
    if (!tree_head_witnessed(&held, key, signature))
        return failed(why, RESULT_REFUSED, "the signature of witness %s is wrong", site);
    if (!merkle_verify_consistency(held.size, head->size, &held.root, &head->root, &proof))
        return failed(why, RESULT_REFUSED, "the tree head does not contain the log that %s holds",
                      site);
    return DONE;
}

static struct result check_document(const json_t *o, const unsigned char *known, struct shown *out,
                                    struct why *why)
{
    unsigned char key[CHAIN_PUBLIC_BYTES];
    struct merkle_proof proof;
    struct tree_head head;
    const char *entry = json_string_value(json_object_get(o, "entry"));
    const char *text = json_string_value(json_object_get(o, "tree_head"));
    const json_t *witnesses = json_object_get(o, "witnesses");
    out->number = (uint64_t)json_integer_value(json_object_get(o, "entry_number"));
    if (!entry || !text || out->number < 1 ||
        !read_proof(json_object_get(o, "inclusion"), &proof) ||
        !from_hex(json_object_get(o, "coordinator_key"), key, sizeof key))
        return failed(why, RESULT_INPUT, "it is no proof of an entry");
    if (known && memcmp(known, key, sizeof key) != 0)
        return failed(why, RESULT_REFUSED, "it names another coordinator's key than the one known");
    TRY(tree_head_open(text, strlen(text), key, &head, why));
    struct merkle_hash leaf = merkle_leaf(entry, strlen(entry));
    if (!merkle_verify_inclusion(&leaf, out->number - 1, head.size, &proof, &head.root))
        return failed(why, RESULT_REFUSED, "the entry does not stand at that place of the log");
    for (size_t i = 0; i < json_array_size(witnesses); i++)
        TRY(check_witness(json_array_get(witnesses, i), &head, why));
    out->size = head.size;
    out->witnesses = json_array_size(witnesses);
    out->entry = strdup(entry);
    return out->entry ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
}

static int check(const char *path, const char *folder, bool json)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    struct identity self;
    struct shown shown = {0};
    struct why why;
    struct result r = fs_read(path, PROOF_BYTES_MAX, &text, &n, &why);
    if (ok(r) && folder)
        r = identity_load_enrolled(folder, &self, &why);
    if (ok(r)) {
        json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
        r = check_document(o, folder ? self.coordinator.sign_key : NULL, &shown, &why);
        json_decref(o);
    }
    if (!ok(r))
        return cli_fail(r, &why);
    if (json)
        printf("{\"verified\":true,\"key_known\":%s,\"entry\":%llu,\"size\":%llu,"
               "\"witnesses\":%zu}\n",
               folder ? "true" : "false", (unsigned long long)shown.number,
               (unsigned long long)shown.size, shown.witnesses);
    else
        printf("entry %llu stands in the log of %llu entries; %zu sites signed it\n%s\n",
               (unsigned long long)shown.number, (unsigned long long)shown.size, shown.witnesses,
               shown.entry);
    if (!json && !folder)
        puts("note: checked with the key in the file; --as FOLDER checks it is the coordinator's");
    free(shown.entry);
    return CLI_OK;
}

int audit_prove(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(USAGE, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *file = cli_take_option(&argc, argv, "--check");
    const char *folder = cli_take_option(&argc, argv, "--as");
    const char *entry = cli_take_option(&argc, argv, "--entry");
    const char *out = cli_take_option(&argc, argv, "--out");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (file && argc == 1)
        return check(file, folder ? folder : getenv("CONSILIUM_IDENTITY"), json);
    if (file || argc != 2 || !entry)
        return cli_usage("audit prove takes a folder and --entry N, or --check FILE");
    struct prover p = {.wanted = strtoull(entry, NULL, 10)};
    CLEANUP(free_pointer) char *text = NULL;
    struct why why;
    struct result r = prove(argv[1], &p, &text, &why);
    if (ok(r) && out)
        r = fs_write_atomic(out, text, strlen(text), 0600, &why);
    else if (ok(r))
        puts(text);
    prover_free(&p);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
