/* SPDX-License-Identifier: Apache-2.0 */
/* The model passport: what a promoted model is, where it came from, what was measured and decided,
 * filled by the machine; the human parts (intended use, warnings, risk) are signed apart and
 * referred to by hash. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_PASSPORT_H
#define CONSILIUM_COORDINATOR_VALIDATE_PASSPORT_H

#include "coordinator/validate/gate.h"
#include "proto/tree_head.h"

#include <jansson.h>
#include <stdint.h>

#define PASSPORT_TYPE "application/vnd.consilium.passport+json"
#define PASSPORT_HUMAN_TYPE "application/vnd.consilium.passport-human+json"
#define PASSPORT_FORMAT "consilium-passport/1"

/* Texts are not owned; a NULL text, a negative count and a NaN are left out of the passport. Hashes
 * are lower-case hex. Times are RFC 3339 in UTC. */
struct passport_model {
    const char *id, *name, *version, *kind, *format;
    const char *weights_sha256, *parent_id, *schema_sha256, *task, *threshold;
    int64_t parameters;
};

struct passport_training_site {
    const char *site;
    int64_t patients; /* told only as a band */
    const char *dataset_fingerprint, *preprocessing_sha256, *label_definition_sha256;
    int64_t rounds_in, updates_refused;
};

struct passport_training {
    const char *federation, *plan_sha256, *algorithm, *aggregation;
    int64_t rounds;
    const char *started, *ended, *seed_commitment;
    const char *coordinator_version, *build_sha256;
    size_t n_sites;
    const struct passport_training_site *sites;
    double cpu_seconds, energy_kwh;
    const char *energy_method;
};

struct passport_privacy {
    const char *unit, *mechanism, *accountant;
    double delta, epsilon_spent_max;
    const char *ledger_head;
    const char *metrics_mode, *metrics_round_to;
    int64_t metrics_min_cell, metrics_queries_used, metrics_queries_max;
    bool secure_aggregation;
    const json_t *statement; /* the privacy statement, or NULL; borrowed */
};

/* A site's figures beside the gate's own. */
struct passport_site_figures {
    double ece, slope;
    const char *worst_attribute, *worst_group;
    double worst_auc;
};

struct passport_validation {
    const char *gate_id, *policy_sha256, *incumbent;
    const struct gate_policy *policy;
    const struct gate_record *record;
    const struct gate_site *sites;               /* [record->n_sites] */
    const struct gate_site_verdict *verdicts;    /* [record->n_sites] */
    const struct passport_site_figures *figures; /* [record->n_sites], or NULL */
    const struct transport *transport;           /* or NULL */
    int64_t alpha_spent;                         /* micro; negative: no ledger */
    size_t n_reports;
    const char *const *signed_reports; /* log entries of the sites' signed reports */
};

struct passport_deployment {
    const char *stage, *stage_since, *pccp_sha256, *rollback_to, *monitoring_plan_sha256;
};

/* What a person stated and signed (coordinator/human_part.h): the document, its hash, who signed.
 */
struct passport_human {
    const char *text, *sha256, *signed_by; /* NULL until it is signed */
};

/* A site that holds and signed a head of the same log (proto/tree_head.h). */
struct passport_witness {
    const char *site;
    unsigned char key[TREE_HEAD_PUBLIC_BYTES], signature[TREE_HEAD_SIGNATURE_BYTES];
    uint64_t size, ms;
    struct merkle_hash root;
    struct merkle_proof consistency; /* from that head to the passport's tree */
};

/* Place of the gate decision in the audit log. */
struct passport_log {
    const char *origin;
    uint64_t tree_size, leaf_index;
    struct merkle_hash leaf, root;
    const struct merkle_proof *inclusion;
    size_t n_witnesses;
    const struct passport_witness *witnesses;
};

struct passport {
    struct passport_model model; /* id, version, weights_sha256, schema_sha256 are required */
    struct passport_training training;
    struct passport_privacy privacy;
    struct passport_validation validation; /* record, policy, sites, verdicts are required */
    struct passport_deployment deployment;
    struct passport_log log; /* inclusion is required */
    struct passport_human human;
    const char *issued;
    const char *supersedes;
};

/* The passport as new compact JSON text (free); numbers are decimal strings, keys in a fixed order.
 * INPUT when a required part is missing. */
struct result passport_text(const struct passport *p, char **text, size_t *n,
                            struct why *why) MUST_CHECK;

/* Checks an opened passport: its format, that its gate decision is in the log whose root it states,
 * and that this log extends the head that each of its witnesses signed. The caller compares *root
 * and *tree_size with a signed head that is recent enough, the witnesses' keys with those that the
 * log names, and looks for a revocation entry. */
struct result passport_check(const char *text, size_t n, uint64_t *tree_size,
                             struct merkle_hash *root, struct why *why) MUST_CHECK;

/* passport_witness.c, for passport.c: one witness as JSON (new reference); and the list of a
 * passport checked against its tree. RESULT_INPUT, RESULT_REFUSED. */
json_t *passport_witness_json(const struct passport_witness *witness);
struct result passport_witnesses_check(const json_t *list, const char *origin, uint64_t tree_size,
                                       const struct merkle_hash *root, struct why *why) MUST_CHECK;

/* A count as a band such as "100-499". Never finer than the minimum cell: below 11 it is "1-10". */
const char *passport_band(int64_t count);

#endif
