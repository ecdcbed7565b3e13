/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that people sign for the consortium: the gate's policy and the plan for changes agreed
 * beforehand. One comes into force once enough people, an operator among them, signed the very same
 * bytes; each signature and each coming into force is an audit entry. */
#include "coordinator/command_inner.h"

#include "coordinator/entry.h"
#include "coordinator/paper.h"
#include "coordinator/registry.h"
#include "coordinator/validate/dsse.h"
#include "proto/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A signature under way. */
struct signing {
    struct user_command *c;
    const char *kind, *envelope;
    struct paper paper;
    size_t text_n;
    json_t *signers;
    unsigned needed;
    bool has_operator, in_force;
};

static const char *argument(const struct user_command *c, const char *key)
{
    const char *text = json_string_value(json_object_get(c->arguments, key));
    return text ? text : "";
}

static struct result open_envelope(struct signing *s, struct why *why)
{
    s->kind = argument(s->c, "kind");
    s->envelope = argument(s->c, "envelope");
    const char *type = paper_type(s->kind);
    struct dsse_key key = {.keyid = s->c->user->name, .public_key = s->c->user->sign_public};
    if (!type)
        return failed(why, RESULT_INPUT, "there are no documents of the kind '%.40s'", s->kind);
    TRY(dsse_open(s->envelope, strlen(s->envelope), type, 1, &key, 1, &s->paper.text, &s->text_n,
                  NULL, why));
    if (strlen(s->paper.text) != s->text_n)
        return failed(why, RESULT_INPUT, "the document is no text");
    TRY(paper_check(s->kind, s->paper.text, s->text_n, why));
    paper_hash(s->paper.text, s->text_n, s->paper.sha256);
    s->paper.ms = s->c->now_ms;
    return DONE;
}

static struct result log_signature(const struct signing *s, struct why *why)
{
    const struct user_command *c = s->c;
    char key[HEX_HASH_BYTES];
    hex_hash(key, c->user->sign_public);
    json_t *o =
        json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "kind", "paper-signed", "ms",
                  (json_int_t)c->now_ms, "study", "", "paper", s->kind, "sha256", s->paper.sha256,
                  "signer", c->user->name, "operator", c->user->role == DRIVE_OPERATOR, "sign_key",
                  key, "envelope", s->envelope);
    CLEANUP(free_pointer) char *entry = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return entry ? store_log(c->drive->options.store, c->now_ms, "", "paper-signed", entry,
                             strlen(entry), why)
                 : failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
}

static struct result count_signers(struct signing *s, struct why *why)
{
    char names[PAPER_SIGNERS_MAX][PLAN_NAME_BYTES];
    size_t n = 0;
    TRY(paper_signers(s->c->drive->options.store, s->kind, s->paper.sha256, names, &n,
                      &s->has_operator, why));
    s->signers = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(s->signers, json_string_nocheck(names[i]));
    s->paper.signers = (unsigned)n;
    return DONE;
}

static struct result come_into_force(struct signing *s, struct why *why)
{
    struct store *store = s->c->drive->options.store;
    CLEANUP(free_pointer) char *signers = json_dumps(s->signers, JSON_COMPACT);
    if (!signers)
        return failed(why, RESULT_SYSTEM, "out of memory for an audit entry");
    s->in_force = true;
    TRY(paper_put(store, s->kind, &s->paper, why));
    TRY(paper_unsign(store, s->kind, why));
    return paper_log(store, s->c->now_ms, s->kind, &s->paper, signers, why);
}

static struct result sign(struct signing *s, struct why *why)
{
    struct store *store = s->c->drive->options.store;
    struct paper_signature signature = {.operator_role = s->c->user->role == DRIVE_OPERATOR,
                                        .ms = s->c->now_ms,
                                        .envelope = s->envelope};
    struct gate_rules rules;
    snprintf(signature.signer, sizeof signature.signer, "%s", s->c->user->name);
    TRY(paper_rules(store, s->c->drive->options.gate, &rules, why));
    s->needed = paper_is_human(s->kind) ? 1 : rules.stages.signatures_needed;
    TRY(log_signature(s, why));
    TRY(paper_sign(store, s->kind, s->paper.sha256, &signature, why));
    TRY(count_signers(s, why));
    bool enough = s->paper.signers >= s->needed && (s->has_operator || paper_is_human(s->kind));
    return enough ? come_into_force(s, why) : DONE;
}

static void say(const struct signing *s)
{
    struct user_command *c = s->c;
    if (s->in_force)
        snprintf(c->sentence, sizeof c->sentence, "%.20s %.12s is in force, signed by %u people",
                 s->kind, s->paper.sha256, s->paper.signers);
    else
        snprintf(c->sentence, sizeof c->sentence,
                 "%s %.12s is signed by %u of %u people%s; the others give the same file", s->kind,
                 s->paper.sha256, s->paper.signers, s->needed,
                 s->has_operator ? "" : ", an operator must be among them");
}

static struct result sign_paper(struct signing *s, struct why *why)
{
    struct store *store = s->c->drive->options.store;
    TRY(open_envelope(s, why));
    TRY(store_begin(store, why));
    struct result r = sign(s, why);
    if (ok(r))
        r = store_commit(store, why);
    if (!ok(r))
        store_rollback(store);
    else
        say(s);
    return r;
}

struct result verb_paper(struct user_command *c, struct why *why)
{
    struct signing s = {.c = c};
    struct result r = sign_paper(&s, why);
    json_t *o = json_pack("{s:s, s:s, s:b, s:i, s:s, s:O?}", "paper", argument(c, "kind"), "sha256",
                          s.paper.sha256, "in_force", s.in_force, "needed", (int)s.needed,
                          "sentence", c->sentence, "signers", s.signers);
    paper_free(&s.paper);
    json_decref(s.signers);
    if (ok(r))
        return command_answer(c, o, why);
    json_decref(o);
    return r;
}

static struct result add_paper(struct store *store, const char *kind, json_t *to, struct why *why)
{
    CLEANUP(paper_free) struct paper paper;
    TRY(paper_read(store, kind, &paper, why));
    if (paper.text)
        json_object_set_new(to, kind,
                            json_pack("{s:s, s:s, s:i, s:I}", "sha256", paper.sha256, "text",
                                      paper.text, "signers", (int)paper.signers, "ms",
                                      (json_int_t)paper.ms));
    return DONE;
}

static bool add_ledger(void *context, const unsigned char *family, const char *text)
{
    char hash[HEX_HASH_BYTES];
    hex_hash(hash, family);
    json_object_set_new(context, hash, json_loads(text, 0, NULL));
    return true;
}

struct result verb_papers(struct user_command *c, struct why *why)
{
    struct store *store = c->drive->options.store;
    json_t *o = json_object(), *ledgers = json_object();
    json_object_set_new(o, "ledgers", ledgers);
    struct result r = add_paper(store, PAPER_POLICY, o, why);
    if (ok(r))
        r = add_paper(store, PAPER_CHANGES, o, why);
    if (ok(r))
        r = registry_each_ledger(store, add_ledger, ledgers, why);
    if (ok(r))
        return command_answer(c, o, why);
    json_decref(o);
    return r;
}
