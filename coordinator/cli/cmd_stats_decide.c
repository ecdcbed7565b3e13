/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of `consilium stats` that decide or prove: gate, alpha ledger, Merkle proofs, hash chain.
 */
#include "coordinator/chain.h"
#include "coordinator/cli/stats_input.h"
#include "coordinator/validate/aacp.h"
#include "coordinator/validate/gate_json.h"
#include "proto/base/cleanup.h"
#include "proto/merkle.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct result stats_gate(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(gate_parsed_free) struct gate_parsed parsed = {0};
    TRY(gate_parse(job->inputs, &parsed, why));
    CLEANUP(free_pointer)
    struct gate_site_verdict *verdicts = calloc(parsed.input.n_sites + 1, sizeof *verdicts);
    if (!verdicts)
        return failed(why, RESULT_SYSTEM, "no memory for %zu sites", parsed.input.n_sites);
    struct gate_record record;
    TRY(gate_decide(&parsed.input, &record, verdicts, why));
    *got = gate_record_json(&record, parsed.sites, verdicts);
    return DONE;
}

/* One row of a table of comparisons. */
struct comparison_row {
    unsigned t, j, i;
    double d[AACP_ENDPOINTS_MAX], se[AACP_ENDPOINTS_MAX];
};

struct comparison_table {
    struct comparison_row *rows;
    size_t n;
    unsigned t; /* batch being processed */
    unsigned last;
};

static int by_place(const void *a, const void *b)
{
    const struct comparison_row *x = a;
    const struct comparison_row *y = b;
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    if (x->j != y->j)
        return x->j < y->j ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static bool look_up(void *context, unsigned j, unsigned i, double *d, double *se)
{
    const struct comparison_table *c = context;
    const struct comparison_row wanted = {.t = c->t, .j = j, .i = i};
    const struct comparison_row *row = bsearch(&wanted, c->rows, c->n, sizeof wanted, by_place);
    if (!row)
        return false;
    memcpy(d, row->d, sizeof row->d);
    memcpy(se, row->se, sizeof row->se);
    return true;
}

static struct result read_comparisons(const struct stats_job *job, unsigned endpoints,
                                      struct comparison_table *out, struct why *why)
{
    CLEANUP(stats_table_free) struct stats_table table = {0};
    CLEANUP(free_pointer) double *cells = NULL;
    TRY(stats_table_read(job, "file", &table, why));
    TRY(stats_table_matrix(&table, &cells, why));
    static const char *const NAMES[] = {"t", "j", "i", "d0", "se0", "d1", "se1"};
    size_t needed = 3 + 2 * (size_t)endpoints;
    size_t at[sizeof NAMES / sizeof *NAMES];
    char where[STATS_WHERE_BYTES];
    for (size_t c = 0; c < needed; c++)
        TRY(stats_table_need(&table, NAMES[c], &at[c], why));
    out->rows = calloc(table.rows + 1, sizeof *out->rows);
    if (!out->rows)
        return failed(why, RESULT_SYSTEM, "no memory for %zu rows", table.rows);
    out->n = table.rows;
    for (size_t r = 0; r < table.rows; r++) {
        const double *row = cells + r * table.cols;
        struct comparison_row *to = &out->rows[r];
        unsigned *place[] = {&to->t, &to->j, &to->i};
        for (size_t c = 0; c < 3; c++) {
            double value = row[at[c]];
            if (!(value >= 0.0 && value < AACP_MODELS_MAX))
                return failed(why, RESULT_INPUT, "%s: '%s' must be 0..%d",
                              stats_table_where(&table, r, where), NAMES[c], AACP_MODELS_MAX - 1);
            *place[c] = (unsigned)value;
        }
        for (size_t e = 0; e < endpoints; e++) {
            to->d[e] = row[at[3 + 2 * e]];
            to->se[e] = row[at[4 + 2 * e]];
        }
        out->last = to->t > out->last ? to->t : out->last;
    }
    qsort(out->rows, out->n, sizeof *out->rows, by_place);
    return DONE;
}

static struct result read_micro(const json_t *inputs, const char *key, double fallback,
                                int64_t *out, struct why *why)
{
    double value;
    TRY(stats_real(inputs, key, fallback, &value, why));
    if (!(value >= 0.0 && value <= 1000.0))
        return failed(why, RESULT_INPUT, "'%s' must lie between 0 and 1000", key);
    *out = llround(value * (double)AACP_MICRO);
    return DONE;
}

static struct result read_aacp_policy(const json_t *inputs, struct aacp_policy *p, struct why *why)
{
    const char *kind = stats_text(inputs, "policy", "BAC");
    const char *arithmetic = stats_text(inputs, "arithmetic", "published");
    if (strcmp(kind, "BAC") != 0 && strcmp(kind, "BABR") != 0)
        return failed(why, RESULT_INPUT, "policy is BAC or BABR, not '%.40s'", kind);
    *p = (struct aacp_policy){
        .kind = strcmp(kind, "BAC") == 0 ? AACP_BAC : AACP_BABR,
        .arithmetic = strcmp(arithmetic, "exact") == 0 ? AACP_EXACT : AACP_PUBLISHED,
    };
    TRY(read_micro(inputs, "alpha_total", 0.2, &p->alpha_total, why));
    TRY(read_micro(inputs, "alpha_cap", 0.05, &p->alpha_cap, why));
    TRY(read_micro(inputs, "use_factor", 1.0, &p->use_factor, why));
    TRY(read_micro(inputs, "denom_min", 1.0, &p->denom_min, why));
    TRY(stats_real(inputs, "ni_margin", 0.05, &p->margin, why));
    const struct {
        const char *key;
        uint64_t fallback;
        unsigned *value;
    } wholes[] = {
        {"window", 15, &p->window},
        {"max_wait", 5, &p->max_wait},
        {"endpoints", 1, &p->endpoints},
        {"horizon", 0, &p->horizon},
    };
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
        uint64_t value;
        TRY(stats_whole(inputs, wholes[i].key, wholes[i].fallback, &value, why));
        if (value > AACP_MODELS_MAX)
            return failed(why, RESULT_INPUT, "'%s' is too large", wholes[i].key);
        *wholes[i].value = (unsigned)value;
    }
    return DONE;
}

static json_t *model_or_null(bool is, unsigned model)
{
    return is ? json_integer(model) : json_null();
}

static json_t *step_json(const struct aacp *a, const struct aacp_step *s)
{
    bool babr = a->policy.kind == AACP_BABR;
    return json_pack("{s:I, s:I, s:o, s:I, s:o, s:o, s:o}", "t", (json_int_t)s->t, "approved",
                     (json_int_t)s->approved, "newly_approved",
                     model_or_null(s->newly_approved, s->approved), "benchmark",
                     (json_int_t)s->benchmark, "new_benchmark",
                     model_or_null(s->benchmark_moved, s->benchmark), "alpha_for_model_t",
                     json_real((double)a->alpha[s->t] / (double)AACP_MICRO),
                     "alpha_bench_for_model_t",
                     babr ? json_real((double)a->bench_alpha[s->t] / (double)AACP_MICRO)
                          : json_null());
}

static json_t *bounds_json(const struct aacp *a, bool bench)
{
    json_t *o = json_object();
    for (unsigned j = 1; j <= a->t; j++) {
        char key[16];
        const struct aacp_bounds *b = aacp_bounds_of(a, j, bench);
        snprintf(key, sizeof key, "%u", j);
        json_object_set_new(o, key, stats_json_reals(b->looks, b->bound));
    }
    return o;
}

static void comparisons_free(struct comparison_table *c)
{
    free(c->rows);
}

struct result stats_aacp(const struct stats_job *job, json_t **got, struct why *why)
{
    struct aacp_policy policy;
    CLEANUP(comparisons_free) struct comparison_table table = {0};
    CLEANUP(free_pointer) struct aacp *a = calloc(1, sizeof *a);
    if (!a)
        return failed(why, RESULT_SYSTEM, "no memory for the ledger");
    TRY(read_aacp_policy(job->inputs, &policy, why));
    TRY(aacp_init(a, &policy, why));
    TRY(read_comparisons(job, policy.endpoints, &table, why));
    json_t *steps = json_array();
    for (table.t = 1; table.t <= table.last; table.t++) {
        struct aacp_step step;
        struct result r = aacp_step(a, look_up, &table, &step, why);
        if (!ok(r)) {
            json_decref(steps);
            return r;
        }
        json_array_append_new(steps, step_json(a, &step));
    }
    *got = json_pack("{s:o, s:o, s:o}", "steps", steps, "bounds", bounds_json(a, false),
                     "bounds_bench", policy.kind == AACP_BABR ? bounds_json(a, true) : json_null());
    return DONE;
}

static json_t *hex_json(const unsigned char hash[MERKLE_HASH_BYTES])
{
    char text[2 * MERKLE_HASH_BYTES + 1];
    sodium_bin2hex(text, sizeof text, hash, MERKLE_HASH_BYTES);
    return json_string(text);
}

static json_t *proof_json(const struct merkle_proof *proof)
{
    json_t *array = json_array();
    for (size_t i = 0; i < proof->count; i++)
        json_array_append_new(array, hex_json(proof->hash[i].bytes));
    return array;
}

/* Decodes inputs.leaves_hex[i]; bytes must hold CHAIN_ENTRY_MAX. */
static struct result read_leaf(const json_t *leaves, size_t i, unsigned char *bytes, size_t *n,
                               struct why *why)
{
    const char *text = json_string_value(json_array_get(leaves, i));
    const char *end = NULL;
    if (!text || sodium_hex2bin(bytes, CHAIN_ENTRY_MAX, text, strlen(text), NULL, n, &end) != 0 ||
        *end != '\0')
        return failed(why, RESULT_INPUT, "leaf %zu is not the hex form of at most %d bytes", i,
                      CHAIN_ENTRY_MAX);
    return DONE;
}

/* Hashes of all leaves; NULL *out for none. */
static struct result read_leaves(const struct stats_job *job, struct merkle_hash **out, size_t *n,
                                 struct why *why)
{
    const json_t *leaves = json_object_get(job->inputs, "leaves_hex");
    *n = json_array_size(leaves);
    if (!json_is_array(leaves) || *n > STATS_INPUT_ITEMS)
        return failed(why, RESULT_INPUT,
                      "\"leaves_hex\" must list at most %d entries (in a .json file)",
                      STATS_INPUT_ITEMS);
    CLEANUP(free_pointer) unsigned char *bytes = malloc(CHAIN_ENTRY_MAX);
    *out = calloc(*n + 1, sizeof **out);
    if (!bytes || !*out)
        return failed(why, RESULT_SYSTEM, "no memory for %zu leaves", *n);
    for (size_t i = 0; i < *n; i++) {
        size_t length;
        TRY(read_leaf(leaves, i, bytes, &length, why));
        (*out)[i] = merkle_leaf(bytes, length);
    }
    return DONE;
}

/* What is asked: the list in inputs, or else the places that a case names in what it expects. */
static const json_t *asked(const struct stats_job *job, const char *key)
{
    const json_t *list = json_object_get(job->inputs, key);
    return list ? list : json_object_get(job->asked, key);
}

static json_t *inclusions(const struct stats_job *job, size_t n, const struct merkle_hash *leaves)
{
    const json_t *list = asked(job, "inclusion");
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t index = json_integer_value(json_object_get(item, "index"));
        json_int_t size = json_integer_value(json_object_get(item, "size"));
        struct merkle_proof proof;
        bool known = index >= 0 && size > 0 && (size_t)size <= n &&
                     merkle_inclusion((size_t)size, leaves, (size_t)index, &proof);
        json_array_append_new(out, json_pack("{s:I, s:I, s:o}", "index", index, "size", size,
                                             "proof", known ? proof_json(&proof) : json_null()));
    }
    return out;
}

static json_t *consistencies(const struct stats_job *job, size_t n,
                             const struct merkle_hash *leaves)
{
    const json_t *list = asked(job, "consistency");
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t old = json_integer_value(json_object_get(item, "old"));
        json_int_t new = json_integer_value(json_object_get(item, "new"));
        struct merkle_proof proof;
        bool known =
            old > 0 && new > 0 &&
            (size_t) new <= n &&merkle_consistency((size_t) new, leaves, (size_t)old, &proof);
        json_array_append_new(out, json_pack("{s:I, s:I, s:o}", "old", old, "new", new, "proof",
                                             known ? proof_json(&proof) : json_null()));
    }
    return out;
}

struct result stats_merkle(const struct stats_job *job, json_t **got, struct why *why)
{
    CLEANUP(free_pointer) struct merkle_hash *leaves = NULL;
    size_t n;
    TRY(read_leaves(job, &leaves, &n, why));
    struct merkle_frontier frontier = {0};
    struct merkle_hash root = merkle_frontier_root(&frontier);
    json_t *roots = json_array();
    json_t *hashes = json_array();
    json_array_append_new(roots, hex_json(root.bytes));
    for (size_t i = 0; i < n; i++) {
        merkle_frontier_add(&frontier, &leaves[i]);
        root = merkle_frontier_root(&frontier);
        json_array_append_new(roots, hex_json(root.bytes));
        json_array_append_new(hashes, hex_json(leaves[i].bytes));
    }
    *got = json_pack("{s:o, s:o, s:o, s:o}", "roots", roots, "leaf_hashes", hashes, "inclusion",
                     inclusions(job, n, leaves), "consistency", consistencies(job, n, leaves));
    return DONE;
}

struct result stats_hash_chain(const struct stats_job *job, json_t **got, struct why *why)
{
    const json_t *leaves = json_object_get(job->inputs, "leaves_hex");
    const char *genesis = stats_text(job->inputs, "genesis", "");
    CLEANUP(free_pointer) unsigned char *bytes = malloc(CHAIN_ENTRY_MAX);
    struct chain_head head = {0};
    size_t length = 0;
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "no memory for an entry");
    if (*genesis && (sodium_hex2bin(head.hash, sizeof head.hash, genesis, strlen(genesis), NULL,
                                    &length, NULL) != 0 ||
                     length != sizeof head.hash))
        return failed(why, RESULT_INPUT, "genesis must be %d bytes in hex", CHAIN_HASH_BYTES);
    json_t *heads = json_array();
    for (size_t i = 0; i < json_array_size(leaves); i++) {
        struct result r = read_leaf(leaves, i, bytes, &length, why);
        if (!ok(r)) {
            json_decref(heads);
            return r;
        }
        chain_extend(&head, bytes, length);
        json_array_append_new(heads, hex_json(head.hash));
    }
    *got = json_pack("{s:o}", "heads", heads);
    return DONE;
}
