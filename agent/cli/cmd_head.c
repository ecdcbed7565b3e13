/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-agent head: the head of the coordinator's log that this site holds, what contradicts
 * it, and a human's decision to accept that. */
#include "agent/cli/commands.h"
#include "agent/cli/site.h"
#include "agent/vault/decisions.h"
#include "agent/vault/witness.h"
#include "proto/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium-agent head SITE-FOLDER [--accept] [--json]\n"
    "\n"
    "The signed head of the coordinator's log that this site holds and has cosigned. If a later "
    "head\n"
    "did not contain it, that one too: the log was put back to an older state or rewritten, and "
    "this\n"
    "site takes no task. Both heads are signed by the coordinator: keep them, compare them with "
    "other\n"
    "sites, ask the operator.\n"
    "  --accept   take the contradicting head from now on, for instance after an announced return\n"
    "             to a backup; the running vault takes it up with the next task or head\n";

static json_t *head_json(const struct signed_head *h)
{
    char root[2 * MERKLE_HASH_BYTES + 1], signature[2 * TREE_HEAD_SIGNATURE_BYTES + 1];
    if (h->head.size == 0)
        return json_null();
    sodium_bin2hex(root, sizeof root, h->head.root.bytes, MERKLE_HASH_BYTES);
    sodium_bin2hex(signature, sizeof signature, h->signature, sizeof h->signature);
    return json_pack("{s:s, s:I, s:s, s:I, s:s}", "origin", h->head.origin, "size",
                     (json_int_t)h->head.size, "root", root, "ms", (json_int_t)h->head.ms,
                     "signature", signature);
}

static void print_head(const char *what, const struct signed_head *h)
{
    char root[2 * MERKLE_HASH_BYTES + 1], when[24];
    sodium_bin2hex(root, sizeof root, h->head.root.bytes, MERKLE_HASH_BYTES);
    site_time(h->head.ms, when);
    printf("%s: %llu entries, root %s, signed %s\n", what, (unsigned long long)h->head.size, root,
           when);
}

static void print(const struct witness *w, bool json, bool accepted)
{
    struct why why;
    bool contradicted = w->contradicted != TREE_COSIGNED;
    bool content = ok(witness_content(w, &why));
    if (json) {
        json_t *out = json_pack("{s:o, s:o, s:s, s:b}", "held", head_json(&w->held),
                                "contradicting", contradicted ? head_json(&w->other) : json_null(),
                                "problem", content ? "" : why.text, "accepted", accepted);
        json_dumpf(out, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(out);
        return;
    }
    if (w->held.head.size == 0)
        puts("this site holds no head of the coordinator's log yet");
    else
        print_head("held", &w->held);
    if (!contradicted)
        return;
    print_head("contradicted by", &w->other);
    printf("%s\n", why.text);
    puts(accepted ? "accepted: the running vault goes on from the second head"
                  : "this site takes no task until a human accepts the second head (--accept)");
}

static struct result accept_other(const struct site *site, const struct witness *w, struct why *why)
{
    if (w->contradicted == TREE_COSIGNED)
        return failed(why, RESULT_REFUSED, "nothing contradicts the head that this site holds");
    CLEANUP(close_fd)
    int fd = open(site->folder.decisions, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(why, RESULT_SYSTEM, "%s: cannot open: %s", site->folder.decisions,
                      strerror(errno));
    return decisions_append(fd, true, WITNESS_DECISION, w->other.head.root.bytes, why);
}

static struct result look(const struct site *site, struct witness *w, struct why *why)
{
    *w = (struct witness){.contradicted = TREE_COSIGNED};
    CLEANUP(close_fd) int fd = open(site->folder.heads, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return DONE;
    if (fd < 0)
        return failed(why, RESULT_SYSTEM, "%s: cannot read: %s", site->folder.heads,
                      strerror(errno));
    return witness_look(w, fd, site->folder.heads, why);
}

int cmd_head(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    bool accept = cli_take_flag(&argc, argv, "--accept");
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2)
        return cli_usage("head: name the site's folder; --help shows how");
    struct site site = {0};
    struct witness witness;
    struct why why;
    struct result r = site_open(&site, argv[1], NULL, &why);
    if (ok(r))
        r = look(&site, &witness, &why);
    if (ok(r) && accept)
        r = accept_other(&site, &witness, &why);
    if (ok(r))
        print(&witness, json, accept);
    site_close(&site);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
