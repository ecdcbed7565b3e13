/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers the facts about a study, has them decided, and writes the verdict down. */
#include "agent/vault/study.h"

#include "agent/vault/cost.h"
#include "agent/vault/decisions.h"
#include "agent/vault/holdout.h"
#include "agent/vault/release.h"
#include "agent/vault/room.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/plan_privacy.h"

#include <stdlib.h>
#include <string.h>

struct result study_from_coordinator(struct vault *vault, const unsigned char *envelope, size_t n,
                                     enum message_kind kind, struct message *message,
                                     struct why *why)
{
    const struct vault_keys *keys = &vault->keys;
    TRY(envelope_open(envelope, n, keys->coordinator_sign, message, why));
    if (message->kind != kind || strcmp(message->head.sender, keys->coordinator) != 0 ||
        strcmp(message->head.receiver, keys->site) != 0 ||
        strcmp(message->head.consortium, keys->consortium) != 0)
        return failed(why, RESULT_REFUSED, "expected the coordinator's %s for this site",
                      message_kind_name(kind));
    return DONE;
}

/* What speaks for and against the study. Patients are read only when policy and budget agree. */
struct facts {
    struct consent_facts facts;
    struct ledger_charge charge;
    struct why policy, budget, data;
};

static bool takes_part(const struct plan *plan, const char *site)
{
    for (unsigned i = 0; i < plan->sites_count; i++) {
        if (strcmp(plan->sites[i].name, site) == 0)
            return true;
    }
    return false;
}

static struct result check_data(struct vault *vault, struct why *why)
{
    struct why detail;
    struct result r = room_load(vault, &detail);
    if (!ok(r)) {
        log_warning("%s: %s", vault->room->study, detail.text);
        return failed(why, RESULT_REFUSED,
                      "the site's data do not fit the plan; the site's own log says where");
    }
    if (vault->room->data.train.patients < vault->policy.min_patients)
        return failed(why, RESULT_REFUSED,
                      "the site has fewer patients for this plan than its policy asks for");
    return DONE;
}

/* Known beforehand, so it is refused now and not in the last round. */
static struct result check_evaluations(const struct policy *policy, const struct plan *plan,
                                       struct why *why)
{
    uint64_t models = plan_evaluations(plan);
    if (policy->queries_per_epoch > 0 && models > policy->queries_per_epoch)
        return failed(why, RESULT_REFUSED,
                      "the plan asks for the figures of %llu models, the site's policy allows %u "
                      "(queries_per_epoch)",
                      (unsigned long long)models, policy->queries_per_epoch);
    return DONE;
}

/* The training's noise with which the plan would cost what the policy allows for one study. */
static void say_what_fits(const struct policy *policy, const struct ledger_charge *charge,
                          struct why *why)
{
    double noise = cost_noise_that_fits(charge, policy->epsilon_per_study);
    size_t n = strlen(why->text);
    if (noise > 0.0)
        snprintf(why->text + n, sizeof why->text - n,
                 "; at noise multiplier %.3g this plan would fit", noise);
}

static struct result gather(struct vault *vault, const struct ledger_study *study,
                            struct facts *facts, struct why *why)
{
    struct consent_facts *f = &facts->facts;
    const struct plan *plan = &vault->room->plan;
    uint64_t declared = vault->mapping.declared_patients;
    f->decided_before =
        study->standing == LEDGER_STUDY_ALLOWED || study->standing == LEDGER_STUDY_FINISHED;
    f->reason_before = study->reason;
    f->decision = vault->policy.decision;
    f->policy_reason = facts->policy.text;
    f->budget_reason = facts->budget.text;
    f->data_reason = facts->data.text;
    if (f->decided_before)
        return DONE;
    TRY(decisions_find(vault->decisions_fd, study->name, study->plan_hash, &f->human, why));
    if (!takes_part(plan, vault->keys.site))
        f->policy = failed(&facts->policy, RESULT_REFUSED, "the plan does not name this site");
    else if (!vault->data_present)
        f->policy = failed(&facts->policy, RESULT_REFUSED,
                           "the site has not set up its mapping and data yet");
    else
        f->policy = cost_of_plan(plan, declared, &facts->charge, &facts->policy);
    /* How many patients there are is not known yet; the declared number stands in. */
    if (ok(f->policy))
        f->policy =
            policy_check(&vault->policy, plan, study->researcher, declared ? declared : UINT64_MAX,
                         facts->charge.epsilon, &facts->policy);
    if (!ok(f->policy) && facts->charge.epsilon > vault->policy.epsilon_per_study)
        say_what_fits(&vault->policy, &facts->charge, &facts->policy);
    if (ok(f->policy))
        f->policy = check_evaluations(&vault->policy, plan, &facts->policy);
    if (ok(f->policy))
        f->budget = cost_fits(&vault->ledger, &vault->policy, study->name, &facts->charge,
                              clock_unix_ms(), &facts->budget);
    if (ok(f->policy) && ok(f->budget) && f->human != HUMAN_REFUSED)
        f->data = check_data(vault, &facts->data);
    return DONE;
}

static enum ledger_standing standing_of(enum study_verdict verdict)
{
    switch (verdict) {
    case STUDY_ALLOWED:
        return LEDGER_STUDY_ALLOWED;
    case STUDY_ASKING:
        return LEDGER_STUDY_ASKING;
    case STUDY_REFUSED:
        break;
    }
    return LEDGER_STUDY_REFUSED;
}

struct result study_decide(struct vault *vault, const char *name, bool *ret_news, struct why *why)
{
    const struct ledger_study *study = ledger_find(&vault->ledger, name);
    *ret_news = false;
    if (!study)
        return failed(why, RESULT_REFUSED, "no study '%s'", name);
    TRY(room_enter_known(vault, study, why));
    CLEANUP(free_pointer) struct facts *facts = calloc(1, sizeof *facts);
    if (!facts)
        return failed(why, RESULT_SYSTEM, "no memory to decide about a study");
    TRY(gather(vault, study, facts, why));
    struct consent consent;
    consent_decide(&facts->facts, &consent);
    enum ledger_standing standing = standing_of(consent.verdict);
    if (!facts->facts.decided_before &&
        (standing != study->standing || strcmp(study->reason, consent.reason) != 0)) {
        if (standing == LEDGER_STUDY_ALLOWED)
            TRY(holdout_freeze(vault, why));
        TRY(ledger_verdict(&vault->ledger, clock_unix_ms(), name, standing, consent.reason,
                           standing == LEDGER_STUDY_ALLOWED ? &facts->charge : NULL, why));
        log_info("%s: %s: %s", name, ledger_standing_name(standing), consent.reason);
        *ret_news = true;
    }
    const unsigned char *fingerprint = vault->room->loaded ? vault->room->data.fingerprint : NULL;
    return release_answer(vault, name, study->plan_hash, &consent, study->charge.epsilon,
                          fingerprint, *ret_news, why);
}

static struct result answer_refused(struct vault *vault, const char *study,
                                    const unsigned char *plan_hash, const struct why *reason,
                                    struct why *why)
{
    struct consent consent = {.verdict = STUDY_REFUSED};
    memcpy(consent.reason, reason->text, sizeof consent.reason);
    log_warning("%s: refused: %s", study, reason->text);
    return release_answer(vault, study, plan_hash, &consent, 0.0, NULL, true, why);
}

struct result study_offer(struct vault *vault, const unsigned char *envelope, size_t n,
                          struct why *why)
{
    static const unsigned char NO_PLAN[PLAN_HASH_BYTES];
    struct message *message = vault->scratch[0];
    TRY(study_from_coordinator(vault, envelope, n, MESSAGE_STUDY_OFFER, message, why));
    char name[PLAN_NAME_BYTES], researcher[PLAN_NAME_BYTES];
    memcpy(name, message->head.study, sizeof name);
    struct plan plan;
    struct why reason;
    uint64_t told_records = message->head.ledger_records;
    unsigned char told_head[LEDGER_HEAD_BYTES];
    memcpy(told_head, message->head.ledger_head, sizeof told_head);
    struct result r =
        room_launch(vault, name, message->study_offer.researcher_key, message->study_offer.launch,
                    message->study_offer.launch_n, &plan, researcher, &reason);
    if (!ok(r))
        return answer_refused(vault, name, NO_PLAN, &reason, why);
    unsigned char hash[PLAN_HASH_BYTES];
    memcpy(hash, plan.hash, sizeof hash);
    r = ledger_continues(&vault->ledger, told_records, told_head, &reason);
    if (ok(r))
        r = ledger_offered(&vault->ledger, clock_unix_ms(), name, researcher,
                           message->study_offer.researcher_key, hash, message->study_offer.launch,
                           message->study_offer.launch_n, &reason);
    if (!ok(r)) {
        plan_free(&plan);
        if (r.code == RESULT_SYSTEM)
            return failed(why, r.code, "%s", reason.text);
        return answer_refused(vault, name, hash, &reason, why);
    }
    TRY(room_enter(vault, name, &plan, why));
    bool news;
    return study_decide(vault, name, &news, why);
}
