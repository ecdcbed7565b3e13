/* SPDX-License-Identifier: Apache-2.0 */
/* The gate as work of the drive: the model in use joins a study's last evaluation, the gate judges
 * its reports, and the decision is stored, logged and registered in the step that pools them. */
#ifndef CONSILIUM_COORDINATOR_WORK_GATE_H
#define CONSILIUM_COORDINATOR_WORK_GATE_H

#include "coordinator/drive_inner.h"
#include "coordinator/judge.h"
#include "coordinator/registry.h"

/* Kind of the store record that names the model which a last evaluation compares with. */
#define GATE_INCUMBENT_RECORD "incumbent"

struct model_bytes {
    unsigned char *bytes;
    size_t n;
};

/* If the family has a model in use: *ret_with is the set with it at the end (owned by the
 * caller), before it the earlier models that the alpha ledger compares the candidate with, and
 * *ret_record the record that names them. Both stay empty when there is none, or when metrics are
 * noised: a paired difference would then not be released. */
struct result gate_add_incumbent(struct drive *drive, const struct running *running,
                                 const unsigned char candidate[PLAN_HASH_BYTES],
                                 const struct model_bytes *set, struct model_bytes *ret_with,
                                 char **ret_record, struct why *why) MUST_CHECK;

/* The family's alpha ledger (free); zeroed when it was never judged. */
struct result gate_read_ledger(struct store *store, const unsigned char *family,
                               struct family_ledger **ret_ledger, struct why *why) MUST_CHECK;

/* A judgement with its row of the registry. Zeroed: nothing was judged. */
struct gated {
    bool used;
    struct judgement judgement;
    unsigned char family[PLAN_HASH_BYTES];
    struct registry_model model;
    uint64_t now_ms;
};

struct result gate_judge(struct drive *drive, const struct running *running,
                         const struct pooling_input *inputs, size_t n, uint64_t now_ms,
                         struct gated *out, struct why *why) MUST_CHECK;

/* Within the pooling step's transaction. */
struct result gate_write(struct store *store, const struct study *study, const struct gated *gated,
                         struct why *why) MUST_CHECK;
void gated_free(struct gated *gated);

/* What the sites are told before the judged model may come into use, when the change control plan
 * asks for it; "" otherwise. */
void gate_notice(struct store *store, const char *study, char *text, size_t n);

/* The study's last record of a kind as JSON text (free), NULL when there is none. */
struct result gate_last_record(struct store *store, const char *study, const char *kind,
                               char **ret_text, struct why *why) MUST_CHECK;

#endif
