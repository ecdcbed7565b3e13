/* SPDX-License-Identifier: Apache-2.0 */
/* One training round replayed: updates gathered as the log counts them, admission, momentum, rule,
 * figures, flags, reputations and quarantines computed again. */
#include "coordinator/replay_inner.h"

#include "coordinator/entry.h"
#include "coordinator/study_conduct.h"
#include "proto/base/cleanup.h"
#include "proto/envelope.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

static const char *name_of(const struct replay_study *study, uint32_t site)
{
    return study->plan.sites[site].name;
}

static bool trains(const json_t *entry)
{
    return strcmp(text_of(entry, "task_kind"), "train") == 0;
}

void replay_forget_updates(struct replay_study *study)
{
    for (size_t i = 0; i < study->updates_count; i++)
        payload_update_free(&study->updates[i].update);
    study->updates_count = 0;
}

struct result replay_task_over(struct replay_study *study, struct why *why)
{
    replay_forget_updates(study);
    memset(study->counted, 0, sizeof study->counted);
    memset(study->refused, 0, sizeof study->refused);
    for (uint32_t i = 0; i < study->plan.sites_count; i++)
        if (study->quarantining[i])
            return failed(why, RESULT_REFUSED, "the log does not tell that '%s' was quarantined",
                          name_of(study, i));
    return DONE;
}

struct result replay_budget(struct replay_study *study, const json_t *entry, uint32_t site,
                            const struct payload_update *update, struct why *why)
{
    double said = json_number_value(json_object_get(entry, "epsilon_spent"));
    const struct {
        const char *key;
        double value;
    } SIGNED[] = {{"epsilon_budget", update->epsilon_budget},
                  {"seconds", update->seconds},
                  {"peak_memory_kb", (double)update->peak_memory_kb},
                  {"declared_patients", (double)update->declared_patients}};
    for (size_t i = 0; i < sizeof SIGNED / sizeof *SIGNED; i++) {
        const json_t *value = json_object_get(entry, SIGNED[i].key);
        if (value && json_number_value(value) != SIGNED[i].value)
            return failed(why, RESULT_REFUSED, "'%s' signed another '%s' than the log tells",
                          study->plan.sites[site].name, SIGNED[i].key);
    }
    if (update->declared_patients != study->members.members[site].declared_patients)
        return failed(why, RESULT_REFUSED,
                      "'%s' signed %llu declared patients, the log has it take part with %llu",
                      study->plan.sites[site].name, (unsigned long long)update->declared_patients,
                      (unsigned long long)study->members.members[site].declared_patients);
    if (said != update->epsilon_spent || update->epsilon_spent < study->spent[site])
        return failed(why, RESULT_REFUSED, "the privacy spending of '%s' does not add up",
                      study->plan.sites[site].name);
    if (study->plan.privacy.mode != PRIVACY_NONE &&
        update->epsilon_spent > update->epsilon_budget * (1 + 1e-12))
        return failed(why, RESULT_REFUSED, "'%s' spent epsilon %.6g of a budget of %.6g",
                      study->plan.sites[site].name, update->epsilon_spent, update->epsilon_budget);
    study->spent[site] = update->epsilon_spent;
    return DONE;
}

struct result replay_update(struct replay_study *study, const json_t *entry, uint32_t site,
                            const unsigned char *payload, size_t n,
                            const unsigned char base[PLAN_HASH_BYTES], struct why *why)
{
    size_t at = study->updates_count;
    bool aside = strcmp(text_of(entry, "kind"), "set-aside") == 0;
    struct combine_update update = {.site = site, .aside = aside};
    if (at == PLAN_SITES_MAX)
        return failed(why, RESULT_REFUSED, "more updates than sites");
    if (aside != study->members.members[site].conduct.quarantined)
        return failed(why, RESULT_REFUSED, "the update of '%s' is %s although the site is %s",
                      name_of(study, site), aside ? "set aside" : "counted",
                      aside ? "not quarantined" : "quarantined");
    TRY(payload_update_decode(&update.update, payload, n, why));
    memcpy(update.base, base, PLAN_HASH_BYTES);
    crypto_generichash(update.digest, PLAN_HASH_BYTES, payload, n, NULL, 0);
    while (at > 0 && study->updates[at - 1].site > site) {
        study->updates[at] = study->updates[at - 1];
        at--;
    }
    study->updates[at] = update;
    study->updates_count++;
    if (study->counted[site])
        return failed(why, RESULT_REFUSED, "'%s' is counted twice", name_of(study, site));
    study->counted[site] = true;
    return replay_budget(study, entry, site, &study->updates[at].update, why);
}

struct result replay_refused(struct replay_study *study, const json_t *entry, uint32_t site,
                             struct why *why)
{
    (void)why;
    /* One that was counted before was refused by the aggregation, which is computed again. */
    if (trains(entry) && !study->counted[site])
        study->refused[site] = true;
    return DONE;
}

struct result replay_quarantined(struct replay_study *study, const json_t *entry, uint32_t site,
                                 struct why *why)
{
    if (!study->quarantining[site])
        return failed(why, RESULT_REFUSED, "'%s' was quarantined without the flags for it",
                      name_of(study, site));
    if (strcmp(text_of(entry, "reason"), study->members.members[site].quarantine) != 0)
        return failed(why, RESULT_REFUSED, "'%s' was quarantined for another reason than is told",
                      name_of(study, site));
    study->quarantining[site] = false;
    return DONE;
}

/* The operator signed the release of exactly this site in this study. */
static struct result check_release(const struct replay_study *study, const json_t *entry,
                                   uint32_t site, struct message *message, struct why *why)
{
    const char *hex = text_of(entry, "envelope"), *key_hex = text_of(entry, "sign_key");
    unsigned char key[CHAIN_PUBLIC_BYTES];
    CLEANUP(free_pointer) unsigned char *bytes = malloc(MESSAGE_BYTES_MAX);
    size_t n = 0, key_n = 0;
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "out of memory");
    if (sodium_hex2bin(bytes, MESSAGE_BYTES_MAX, hex, strlen(hex), NULL, &n, NULL) != 0 ||
        sodium_hex2bin(key, sizeof key, key_hex, strlen(key_hex), NULL, &key_n, NULL) != 0 ||
        key_n != sizeof key)
        return failed(why, RESULT_REFUSED, "the release of '%s' is signed by nobody",
                      name_of(study, site));
    TRY(envelope_open(bytes, n, key, message, why));
    json_t *said =
        message->kind == MESSAGE_COMMAND
            ? json_loadb((const char *)message->command.text, message->command.text_n, 0, NULL)
            : NULL;
    bool same = said && strcmp(message->command.verb, "release") == 0 &&
                strcmp(message->head.sender, text_of(entry, "by")) == 0 &&
                strcmp(text_of(said, "site"), name_of(study, site)) == 0 &&
                strcmp(text_of(said, "study"), study->plan.study) == 0;
    json_decref(said);
    return same ? DONE
                : failed(why, RESULT_REFUSED, "'%s' signed something else than the release of '%s'",
                         text_of(entry, "by"), name_of(study, site));
}

struct result replay_released(struct replay_study *study, const json_t *entry, uint32_t site,
                              struct why *why)
{
    struct anomaly_site *conduct = &study->members.members[site].conduct;
    CLEANUP(free_pointer) struct message *message = calloc(1, sizeof *message);
    if (!message)
        return failed(why, RESULT_SYSTEM, "out of memory");
    if (!conduct->quarantined)
        return failed(why, RESULT_REFUSED, "'%s' was released without a quarantine",
                      name_of(study, site));
    TRY(check_release(study, entry, site, message, why));
    anomaly_site_release(conduct);
    return DONE;
}

struct result replay_check_model(const json_t *entry, const char *key, uint32_t number,
                                 const float *parameters, size_t d,
                                 unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    unsigned char *bytes = NULL;
    char text[HEX_HASH_BYTES];
    size_t n = 0;
    TRY(server_model(number, parameters, d, &bytes, &n, hash, why));
    free(bytes);
    hex_hash(text, hash);
    if (strcmp(text, text_of(entry, key)) != 0)
        return failed(why, RESULT_REFUSED,
                      "round %u: the %s computed from the archived updates is not the one that was "
                      "recorded",
                      number, key);
    return DONE;
}

/* The figures, flags and reputations of the entry are those of the computation. */
static struct result check_record(const struct replay_study *study, const json_t *entry,
                                  const struct combine_outcome *made, struct why *why)
{
    static const char *const KEYS[] = {"rows",      "withstands", "spread",
                                       "mean_norm", "noise",      "updates"};
    json_t *record = NULL;
    TRY(combine_record(&study->members, made, &record, why));
    char *text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(record);
    json_t *again = text ? json_loads(text, 0, NULL) : NULL;
    const char *differs = again ? NULL : "memory";
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0] && !differs; i++)
        if (json_object_get(again, KEYS[i]) != json_object_get(entry, KEYS[i]) &&
            !json_equal(json_object_get(again, KEYS[i]), json_object_get(entry, KEYS[i])))
            differs = KEYS[i]; /* both may lack it: there is no noise without privacy */
    json_decref(again);
    free(text);
    if (differs)
        return failed(why, RESULT_REFUSED,
                      "round %u: what is recorded of its updates ('%s') is not what they give "
                      "computed again",
                      study->server.round, differs);
    return DONE;
}

/* As the engine does, in its order: those refused on arrival, then the round's updates. */
static struct result keep_conduct(struct replay_study *study, const struct combine_outcome *made,
                                  struct why *why)
{
    struct anomaly_policy policy = study_conduct_policy(&study->members);
    study->members.round = study->server.round;
    for (uint32_t i = 0; i < study->plan.sites_count; i++)
        if (study->refused[i] &&
            anomaly_site_step(&policy, &study->members.members[i].conduct, ANOMALY_REJECTED)) {
            conduct_quarantine_reason(&study->members, i, study->course.site[i].reason);
            study->quarantining[i] = true;
        }
    CLEANUP(free_pointer) struct study_mark *marks = NULL;
    size_t count = 0;
    TRY(combine_marks(made, &marks, &count, why));
    for (size_t i = 0; i < count; i++)
        if (anomaly_site_step(&policy, &study->members.members[marks[i].site].conduct,
                              marks[i].flags)) {
            conduct_quarantine_reason(&study->members, marks[i].site, marks[i].sentence);
            study->quarantining[marks[i].site] = true;
        }
    return DONE;
}

static struct result check_models(struct replay_study *study, const json_t *entry, struct why *why)
{
    const struct server *server = &study->server;
    TRY(replay_check_model(entry, "model", server->round, server->parameters, server->d,
                           study->model, why));
    CLEANUP(free_pointer) float *candidate = malloc(server->d * sizeof *candidate);
    if (!candidate)
        return failed(why, RESULT_SYSTEM, "out of memory for the model");
    server_candidate(server, candidate);
    return replay_check_model(entry, "candidate", server->round, candidate, server->d,
                              study->members.candidate, why);
}

/* By the sites' updates, or, where the coordinator saw only their sum, by that. */
static struct result combine(struct replay_study *study, struct combine_outcome *made,
                             struct why *why)
{
    struct combine_case round = {
        .plan = &study->plan,
        .noise_multiplier = study->noise_multiplier,
        .base = study->model,
        .updates = study->updates,
        .n = study->updates_count,
        .threads = study->threads,
    };
    for (uint32_t i = 0; i < study->plan.sites_count; i++)
        round.malformed += study->refused[i];
    if (!study->plan.aggregation.secure)
        return combine_round(&round, &study->server, made, why);
    unsigned char model[PLAN_HASH_BYTES];
    struct secure_scope scope;
    memset(made, 0, sizeof *made);
    TRY(replay_scope(study, model, &scope, why));
    struct result r =
        combine_secure(&study->plan, &study->server, &study->words, &scope, made, why);
    combine_words_free(&study->words);
    return r;
}

struct result replay_model(struct replay_study *study, const json_t *entry,
                           struct replay_outcome *outcome, struct why *why)
{
    struct combine_outcome made;
    struct result r = combine(study, &made, why);
    if (ok(r))
        r = check_models(study, entry, why);
    if (ok(r))
        r = check_record(study, entry, &made, why);
    if (ok(r) && !study->plan.aggregation.secure)
        r = replay_late_refusals(study, &made, why);
    if (ok(r))
        r = keep_conduct(study, &made, why);
    combine_outcome_free(&made);
    replay_forget_updates(study);
    outcome->rounds += ok(r);
    return r;
}
