/* SPDX-License-Identifier: Apache-2.0 */
/* Prepares a later look: everything follows from the store, nothing is written. */
#include "coordinator/work_look.h"

#include "coordinator/paper.h"
#include "proto/base/cleanup.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void gate_look_free(struct gate_look *look)
{
    free(look->set.bytes);
    free(look->record);
}

/* The policy in force asks for looks, and this candidate has one left. */
static struct result check_ledger(struct drive *drive, const struct running *running,
                                  const struct family_ledger *ledger, struct gate_rules *rules,
                                  unsigned *ret_index, struct why *why)
{
    struct registry_model judged;
    struct why none;
    const struct study *study = &running->study;
    if (!ok(registry_read(drive->options.store, study->candidate, &judged, &none)))
        return failed(why, RESULT_INPUT, "no gate has judged a model of study '%s' yet",
                      study->name);
    if (running->plan.privacy.metrics_noise > 0.0)
        return failed(why, RESULT_REFUSED,
                      "the plan noises all figures: there is no paired difference to look at");
    TRY(paper_rules(drive->options.store, drive->options.gate, rules, why));
    return family_ledger_may_look(ledger, &rules->ledger, study->candidate, ret_index, why);
}

/* Sites that dated their holdout at the submission are asked about what came after. */
static struct result choose_sites(const struct study *study, const struct family_ledger *ledger,
                                  unsigned index, const struct gate_policy *policy,
                                  struct gate_look *look, struct why *why)
{
    size_t members = 0, dated = 0;
    for (uint32_t i = 0; i < study->members_count; i++) {
        uint64_t then = family_ledger_epoch(ledger, index, study->members[i].name);
        bool takes_part = study->members[i].verdict == MEMBER_ALLOWED;
        look->asked[i] = takes_part && then > 0 && then <= EVALUATION_EPOCHS_MAX;
        look->epochs_after[i] = look->asked[i] ? (uint32_t)then : 0;
        members += takes_part;
        dated += look->asked[i];
    }
    if (dated < gate_quorum(policy, members))
        return failed(why, RESULT_REFUSED,
                      "static holdout reused: %zu of %zu sites dated their holdout epoch when the "
                      "candidate was submitted, %zu are needed",
                      dated, members, gate_quorum(policy, members));
    return DONE;
}

static struct result put_together(struct drive *drive, const struct running *running,
                                  struct gate_look *look, struct why *why)
{
    struct store_bytes candidate = {0};
    TRY(store_read_model(drive->options.store, look->candidate, &candidate, why));
    struct model_bytes set = {candidate.bytes, candidate.n};
    struct result r =
        gate_add_incumbent(drive, running, look->candidate, &set, &look->set, &look->record, why);
    free(candidate.bytes);
    TRY(r);
    if (!look->set.bytes)
        return failed(why, RESULT_REFUSED,
                      "no model of this kind is in use: there is nothing to "
                      "compare the candidate with");
    crypto_generichash(look->set_hash, PLAN_HASH_BYTES, look->set.bytes, look->set.n, NULL, 0);
    return DONE;
}

struct result gate_look_prepare(struct drive *drive, const struct running *running,
                                struct gate_look *look, struct why *why)
{
    unsigned char family[PLAN_HASH_BYTES];
    unsigned index = 0;
    struct gate_rules rules;
    CLEANUP(free_pointer) struct family_ledger *ledger = NULL;
    memcpy(look->candidate, running->study.candidate, PLAN_HASH_BYTES);
    judge_family(&running->plan, family);
    TRY(gate_read_ledger(drive->options.store, family, &ledger, why));
    TRY(check_ledger(drive, running, ledger, &rules, &index, why));
    TRY(choose_sites(&running->study, ledger, index, &rules.gate, look, why));
    return put_together(drive, running, look, why);
}
