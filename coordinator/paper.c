/* SPDX-License-Identifier: Apache-2.0 */
/* Papers in the store and their entries in the log. */
#include "coordinator/paper.h"

#include "coordinator/human_part.h"
#include "coordinator/store_inner.h"
#include "coordinator/validate/passport.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *kind, *type;
} KINDS[] = {
    {PAPER_POLICY, PAPER_POLICY_TYPE},
    {PAPER_CHANGES, PCCP_TYPE},
};

const char *paper_type(const char *kind)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (strcmp(kind, KINDS[i].kind) == 0)
            return KINDS[i].type;
    return paper_is_human(kind) ? PASSPORT_HUMAN_TYPE : NULL;
}

bool paper_is_human(const char *kind)
{
    return strncmp(kind, HUMAN_KIND, strlen(HUMAN_KIND)) == 0 && strlen(kind) < PAPER_KIND_BYTES;
}

struct result paper_check(const char *kind, const char *text, size_t n, struct why *why)
{
    struct gate_rules rules;
    struct pccp pccp;
    if (n == 0 || n > PAPER_BYTES_MAX)
        return failed(why, RESULT_INPUT, "a document has 1 to %d bytes", PAPER_BYTES_MAX);
    if (strcmp(kind, PAPER_POLICY) == 0)
        return gate_rules_parse(text, n, &rules, why);
    if (strcmp(kind, PAPER_CHANGES) == 0)
        return pccp_read(text, n, &pccp, why);
    if (paper_is_human(kind))
        return human_part_check(kind, text, n, why);
    return failed(why, RESULT_INPUT, "there are no documents of the kind '%.40s'", kind);
}

void paper_free(struct paper *paper)
{
    free(paper->text);
    paper->text = NULL;
}

void paper_hash(const char *text, size_t n, char out[PAPER_HASH_BYTES])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)text, n);
    sodium_bin2hex(out, PAPER_HASH_BYTES, hash, sizeof hash);
}

struct result paper_read(struct store *store, const char *kind, struct paper *paper,
                         struct why *why)
{
    static const char SQL[] = "SELECT sha256, text, signers, ms FROM papers WHERE kind = ?";
    struct db_rows rows;
    bool row = false;
    memset(paper, 0, sizeof *paper);
    struct result r = db_query(store->db, &rows, why, SQL, db_text(kind));
    if (ok(r))
        r = db_next(&rows, &row, why);
    if (ok(r) && row) {
        db_column_string(&rows, 0, paper->sha256, sizeof paper->sha256);
        paper->text = strdup(db_column_text(&rows, 1));
        paper->signers = (unsigned)db_column_int(&rows, 2);
        paper->ms = db_column_int(&rows, 3);
        if (!paper->text)
            r = failed(why, RESULT_SYSTEM, "out of memory for a document");
    }
    db_end(&rows);
    return r;
}

struct result paper_put(struct store *store, const char *kind, const struct paper *paper,
                        struct why *why)
{
    static const char SQL[] = "INSERT OR REPLACE INTO papers(kind, sha256, text, signers, ms)"
                              " VALUES (?, ?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_text(kind), db_text(paper->sha256), db_text(paper->text),
                  db_int(paper->signers), db_int(paper->ms));
}

struct result paper_sign(struct store *store, const char *kind, const char *sha256,
                         const struct paper_signature *s, struct why *why)
{
    static const char SQL[] = "INSERT OR IGNORE INTO paper_signatures(kind, sha256, signer,"
                              " operator, ms, envelope) VALUES (?, ?, ?, ?, ?, ?)";
    return db_run(store->db, why, SQL, db_text(kind), db_text(sha256), db_text(s->signer),
                  db_int(s->operator_role), db_int(s->ms), db_text(s->envelope));
}

struct result paper_signers(struct store *store, const char *kind, const char *sha256,
                            char (*names)[PLAN_NAME_BYTES], size_t *ret_count, bool *ret_operator,
                            struct why *why)
{
    static const char SQL[] = "SELECT signer, operator FROM paper_signatures WHERE kind = ?"
                              " AND sha256 = ? ORDER BY ms, signer LIMIT ?";
    struct db_rows rows;
    bool row = true;
    *ret_count = 0;
    *ret_operator = false;
    struct result r = db_query(store->db, &rows, why, SQL, db_text(kind), db_text(sha256),
                               db_int(PAPER_SIGNERS_MAX));
    while (ok(r) && row) {
        r = db_next(&rows, &row, why);
        if (!ok(r) || !row)
            break;
        db_column_string(&rows, 0, names[(*ret_count)++], PLAN_NAME_BYTES);
        *ret_operator = *ret_operator || db_column_int(&rows, 1) != 0;
    }
    db_end(&rows);
    return r;
}

struct result paper_unsign(struct store *store, const char *kind, struct why *why)
{
    static const char SQL[] = "DELETE FROM paper_signatures WHERE kind = ?";
    return db_run(store->db, why, SQL, db_text(kind));
}

struct result paper_rules(struct store *store, const struct gate_rules *otherwise,
                          struct gate_rules *rules, struct why *why)
{
    CLEANUP(paper_free) struct paper paper;
    TRY(paper_read(store, PAPER_POLICY, &paper, why));
    *rules = otherwise ? *otherwise : gate_rules_default();
    return paper.text ? gate_rules_parse(paper.text, strlen(paper.text), rules, why) : DONE;
}

struct result paper_log(struct store *store, uint64_t now_ms, const char *kind,
                        const struct paper *paper, const char *signers, struct why *why)
{
    json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:o}", "kind", "paper", "ms",
                          (json_int_t)now_ms, "study", "", "paper", kind, "sha256", paper->sha256,
                          "text", paper->text, "signers", json_loads(signers, 0, NULL));
    CLEANUP(free_pointer) char *entry = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return entry ? store_log(store, now_ms, "", "paper", entry, strlen(entry), why)
                 : failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
}

static struct result come_into_force(struct store *store, const struct paper *paper,
                                     struct why *why)
{
    TRY(store_begin(store, why));
    struct result r = paper_put(store, PAPER_POLICY, paper, why);
    if (ok(r))
        r = paper_log(store, paper->ms, PAPER_POLICY, paper, "[]", why);
    if (ok(r))
        r = store_commit(store, why);
    if (!ok(r))
        store_rollback(store);
    return r;
}

struct result paper_take_folder(struct store *store, const char *text, uint64_t now_ms,
                                struct why *why)
{
    static const char NONE[] = "{}";
    CLEANUP(paper_free) struct paper now;
    struct paper paper = {.ms = now_ms};
    TRY(paper_read(store, PAPER_POLICY, &now, why));
    if (!text && !now.text)
        return DONE;
    paper.text = strdup(text ? text : NONE);
    if (!paper.text)
        return failed(why, RESULT_SYSTEM, "out of memory for a document");
    paper_hash(paper.text, strlen(paper.text), paper.sha256);
    struct result r = DONE;
    if (now.text && now.signers > 0 && text && strcmp(now.sha256, paper.sha256) != 0)
        log_warning("gate.json is passed over: the signed gate policy %.12s is in force",
                    now.sha256);
    else if (!now.text || (now.signers == 0 && strcmp(now.sha256, paper.sha256) != 0))
        r = come_into_force(store, &paper, why);
    paper_free(&paper);
    return r;
}
