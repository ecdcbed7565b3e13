/* SPDX-License-Identifier: Apache-2.0 */
/* The site wins: its policy as it stands now decides, whatever was allowed when the study ran. */
#include "agent/vault/after.h"

#include "agent/vault/cost.h"
#include "agent/vault/decisions.h"
#include "agent/vault/room.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static struct result refuse(struct refusal *refusal, enum decline kind, const char *sentence)
{
    refusal->kind = kind;
    return failed(&refusal->why, RESULT_REFUSED, "%s", sentence);
}

static struct result ask_human(const struct vault *vault, const struct ledger_study *study,
                               struct refusal *refusal)
{
    char name[PLAN_NAME_BYTES + sizeof AFTER_DECISION];
    enum consent_human human;
    snprintf(name, sizeof name, "%s%s", study->name, AFTER_DECISION);
    TRY(decisions_find(vault->decisions_fd, name, study->plan_hash, &human, &refusal->why));
    switch (human) {
    case HUMAN_APPROVED:
        return DONE;
    case HUMAN_REFUSED:
        return refuse(refusal, DECLINE_REFUSED,
                      "the site's data steward refused evaluations after the study");
    case HUMAN_SILENT:
        break;
    }
    return refuse(refusal, DECLINE_ASKING,
                  "the site's data steward is asked; once approved, later evaluations pass");
}

struct result after_check(const struct vault *vault, const struct ledger_study *study,
                          const struct message_task *order, struct refusal *refusal)
{
    if (order->kind != TASK_EVALUATE)
        return refuse(refusal, DECLINE_REFUSED, "after a study nothing is trained");
    if (order->epochs_after == 0 && !ledger_knows(study, order->model_hash))
        return refuse(refusal, DECLINE_UNKNOWN_MODEL,
                      "no signed round of the study has named this model to the site");
    switch (vault->policy.validation) {
    case VALIDATION_AS_STUDY:
        return DONE;
    case VALIDATION_ASK:
        return ask_human(vault, study, refusal);
    case VALIDATION_REFUSE:
        break;
    }
    return refuse(refusal, DECLINE_REFUSED,
                  "the site's policy refuses evaluations after the study (validation: refuse)");
}

/* The hash by which a model of a set is known: that of the set which holds it alone. */
static struct result hash_alone(const struct payload_model_set *models, size_t i,
                                unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    struct payload_model alone = {.name = "global", .parameters = models->models[i].parameters};
    const struct payload_model_set set = {
        .round = models->models[i].round ? models->models[i].round : models->round,
        .parameters_count = models->parameters_count,
        .models_count = 1,
        .models = &alone,
    };
    CLEANUP(free_pointer) unsigned char *bytes = NULL;
    size_t n = 0;
    TRY(payload_model_set_encode(&set, &bytes, &n, why));
    crypto_generichash(hash, PLAN_HASH_BYTES, bytes, n, NULL, 0);
    return DONE;
}

static bool known_anywhere(const struct ledger *ledger, const unsigned char *hash)
{
    for (size_t i = 0; i < ledger->studies_count; i++)
        if (ledger_knows(&ledger->studies[i], hash))
            return true;
    return false;
}

struct result after_models(const struct vault *vault, const struct ledger_study *study,
                           const struct message_task *order, const struct payload_model_set *models,
                           struct refusal *refusal)
{
    unsigned char hash[PLAN_HASH_BYTES];
    if (order->epochs_after == 0)
        return DONE;
    for (size_t i = 0; i < models->models_count; i++) {
        refusal->kind = DECLINE_FAILED;
        TRY(hash_alone(models, i, hash, &refusal->why));
        if (i == 0 ? ledger_knows(study, hash) : known_anywhere(&vault->ledger, hash))
            continue;
        refusal->kind = DECLINE_UNKNOWN_MODEL;
        return failed(&refusal->why, RESULT_REFUSED,
                      "no signed round has named the model '%s' to the site",
                      models->models[i].name);
    }
    return DONE;
}

struct result after_note(struct vault *vault, const char *study, const struct message_task *order,
                         const struct payload_model_set *models, struct why *why)
{
    unsigned char hash[PLAN_HASH_BYTES];
    for (size_t i = 1; i < models->models_count && !order->after_study; i++) {
        if (models->models[i].round == 0)
            continue;
        TRY(hash_alone(models, i, hash, why));
        TRY(ledger_named(&vault->ledger, clock_unix_ms(), study, hash, why));
    }
    return DONE;
}

struct result after_charge(struct vault *vault, const char *name, uint32_t task, size_t models,
                           struct refusal *refusal)
{
    const struct plan *plan = &vault->room->plan;
    const struct ledger_study *study = ledger_find(&vault->ledger, name);
    double noise = plan->privacy.metrics_noise;
    uint64_t now_ms = clock_unix_ms();
    refusal->kind = DECLINE_BUDGET;
    if (plan->privacy.mode == PRIVACY_NONE || noise <= 0.0 || study->after.task == task)
        return DONE;
    TRY(cost_after_fits(&vault->ledger, &vault->policy, study, (uint32_t)models, noise, now_ms,
                        &refusal->why));
    return ledger_charged(&vault->ledger, now_ms, name, task, (uint32_t)models, noise,
                          &refusal->why);
}
