/* SPDX-License-Identifier: Apache-2.0 */
/* A hospital's vault without processes. */
#include "tests/hospital.h"

#include "agent/vault/room.h"
#include "privacy/rng.h"
#include "proto/base/clock.h"
#include "proto/plan_model.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char PLAN[] = "version: 1\n"
                           "study: falls\n"
                           "title: Falls\n"
                           "purpose: A test\n"
                           "sites: %s\n"
                           "patient_id: id\n"
                           "label: {column: fell, type: binary, levels: [\"0\", \"1\"]}\n"
                           "features:\n"
                           "  - {name: age, type: number, unit: years, range: [0, 110]}\n"
                           "  - {name: sex, type: flag, levels: [F, M]}\n"
                           "subgroups:\n"
                           "  - {column: sex, levels: [F, M]}\n"
                           "validation: {every: 1, holdout: 0.4, min_cell: 5}\n";

static const char MODEL[] = "model: {kind: logistic}\n";
static const char AGGREGATION[] = "aggregation: {rule: weighted-mean, quorum: 1, deadline_s: 60}\n";

static void make_keys(struct hospital_key *key)
{
    crypto_sign_keypair(key->sign_public, key->sign_secret);
    crypto_box_keypair(key->seal_public, key->seal_secret);
}

static void path_of(const struct hospital *hospital, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", hospital->folder, name);
}

static void write_patients(const struct hospital *hospital)
{
    char path[128];
    struct rng rng;
    const unsigned char key[RNG_KEY_BYTES] = {7, hospital->seed};
    rng_init_seeded(&rng, key, 0);
    path_of(hospital, "patients.csv", path);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("id,age,sex,fell\n", f);
    for (int i = 0; i < 200; i++) {
        int age = 20 + (int)rng_below(&rng, 80);
        bool fell = rng_uniform(&rng) < age / 120.0;
        fprintf(f, "p%d,%d,%s,%d\n", i, age, rng_below(&rng, 2) ? "F" : "M", fell);
    }
    fputs("x1,old,F,0\nx2,200,F,1\n", f);
    assert_int_equal(fclose(f), 0);
}

static int open_in(const struct hospital *hospital, const char *name, int flags)
{
    char path[128];
    path_of(hospital, name, path);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void give_secrets(struct hospital *hospital)
{
    struct vault_keys *keys = &hospital->vault.keys;
    keys->secrets.sign = sodium_malloc(IDENTITY_SIGN_SECRET_BYTES);
    keys->secrets.seal = sodium_malloc(IDENTITY_SEAL_SECRET_BYTES);
    memcpy(keys->secrets.sign, hospital->site.sign_secret, IDENTITY_SIGN_SECRET_BYTES);
    memcpy(keys->secrets.seal, hospital->site.seal_secret, IDENTITY_SEAL_SECRET_BYTES);
    memcpy(keys->sign_public, hospital->site.sign_public, 32);
    memcpy(keys->seal_public, hospital->site.seal_public, 32);
    memcpy(keys->coordinator_sign, hospital->coordinator.sign_public, 32);
    memcpy(keys->coordinator_seal, hospital->coordinator.seal_public, 32);
    memcpy(keys->site, hospital->name, sizeof keys->site);
    strcpy(keys->consortium, "demo");
    strcpy(keys->coordinator, "coordinator");
}

static char policy_text[1024];

void hospital_start(struct hospital *hospital)
{
    static const char MAPPING[] = "version: 1\ndata: patients.csv\ndeclared_patients: 200\n";
    struct vault *vault = &hospital->vault;
    struct why why;
    memset(vault, 0, sizeof *vault);
    give_secrets(hospital);
    if (!ok(policy_parse(&vault->policy, "policy", policy_text, strlen(policy_text), &why)))
        fail_msg("%s", why.text);
    if (!ok(mapping_parse(&vault->mapping, "mapping", MAPPING, strlen(MAPPING), &why)))
        fail_msg("%s", why.text);
    memset(vault->holdout_key, 3, sizeof vault->holdout_key);
    vault->data_present = true;
    strcpy(vault->data_name, "patients.csv");
    vault->data_fd = open_in(hospital, "patients.csv", O_RDONLY);
    vault->ledger_fd = open_in(hospital, "ledger", O_RDWR | O_CREAT);
    vault->outbox_fd = open_in(hospital, "outbox", O_RDWR | O_CREAT);
    vault->secure_fd = open_in(hospital, "secure", O_RDWR | O_CREAT);
    vault->record_fd = open_in(hospital, "released", O_WRONLY | O_APPEND | O_CREAT);
    vault->epochs_fd = open_in(hospital, "epochs", O_RDWR | O_CREAT);
    vault->heads_fd = open_in(hospital, "heads", O_RDWR | O_CREAT);
    vault->decisions_fd = open_in(hospital, "decisions", O_RDWR | O_CREAT);
    if (!ok(vault_start(vault, &why)))
        fail_msg("%s", why.text);
    hospital->running = true;
}

void hospital_crash(struct hospital *hospital)
{
    struct vault *vault = &hospital->vault;
    if (!hospital->running)
        return;
    const int fds[] = {vault->data_fd,      vault->ledger_fd, vault->outbox_fd, vault->record_fd,
                       vault->decisions_fd, vault->epochs_fd, vault->heads_fd,  vault->secure_fd};
    vault_end(vault);
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        close(fds[i]);
    hospital->running = false;
}

void hospital_open(struct hospital *hospital, const char *plan_lines, const char *policy_lines)
{
    hospital_open_as(hospital, "north", "[north, south]", plan_lines, policy_lines);
}

void hospital_open_as(struct hospital *hospital, const char *name, const char *sites,
                      const char *plan_lines, const char *policy_lines)
{
    struct why why;
    memset(hospital, 0, sizeof *hospital);
    snprintf(hospital->name, sizeof hospital->name, "%s", name);
    hospital->seed = (unsigned char)(name[0] - 'n'); /* "north": 0 */
    strcpy(hospital->folder, "/tmp/consilium-hospital-XXXXXX");
    assert_non_null(mkdtemp(hospital->folder));
    make_keys(&hospital->site);
    make_keys(&hospital->coordinator);
    make_keys(&hospital->researcher);
    hospital->message = malloc(sizeof *hospital->message);
    randombytes_buf(hospital->session, sizeof hospital->session);
    int head = snprintf(hospital->plan_text, sizeof hospital->plan_text, PLAN, sites);
    snprintf(hospital->plan_text + head, sizeof hospital->plan_text - (size_t)head, "%s%s%s",
             strstr(plan_lines, "model:") ? "" : MODEL,
             strstr(plan_lines, "aggregation:") ? "" : AGGREGATION, plan_lines);
    if (!ok(plan_parse(&hospital->plan, "plan", hospital->plan_text, strlen(hospital->plan_text),
                       &why)))
        fail_msg("%s", why.text);
    snprintf(policy_text, sizeof policy_text, "version: 1\n%s", policy_lines);
    write_patients(hospital);
    hospital_start(hospital);
}

void hospital_rename(struct hospital *hospital, const char *study)
{
    struct why why;
    char *at = strstr(hospital->plan_text, "study: ");
    assert_non_null(at);
    assert_true(strcspn(at + 7, "\n") == strlen(study));
    memcpy(at + 7, study, strlen(study));
    plan_free(&hospital->plan);
    if (!ok(plan_parse(&hospital->plan, "plan", hospital->plan_text, strlen(hospital->plan_text),
                       &why)))
        fail_msg("%s", why.text);
}

void hospital_close(struct hospital *hospital)
{
    char line[128];
    hospital_crash(hospital);
    plan_free(&hospital->plan);
    free(hospital->message);
    snprintf(line, sizeof line, "rm -rf %s", hospital->folder);
    assert_int_equal(system(line), 0);
}

struct message *hospital_message(struct hospital *hospital, enum message_kind kind, uint32_t task)
{
    memset(hospital->message, 0, sizeof *hospital->message);
    hospital->message->kind = kind;
    hospital->message->head.task = task;
    strcpy(hospital->message->head.study, hospital->plan.study);
    if (kind == MESSAGE_TASK || kind == MESSAGE_STUDY_OFFER) {
        hospital->message->head.ledger_records = hospital->told_records;
        memcpy(hospital->message->head.ledger_head, hospital->told_head, LEDGER_HEAD_BYTES);
    }
    return hospital->message;
}

unsigned char *hospital_sign(struct hospital *hospital, const struct hospital_key *who,
                             const char *sender, struct message *message, size_t *ret_n)
{
    struct message_head *head = &message->head;
    unsigned char *bytes = NULL;
    struct why why;
    strcpy(head->consortium, "demo");
    strcpy(head->sender, sender);
    if (head->receiver[0] == '\0')
        memcpy(head->receiver, hospital->name, sizeof head->receiver);
    memcpy(head->session, hospital->session, sizeof head->session);
    head->sequence = ++hospital->sequence;
    head->sent_ms = clock_unix_ms();
    if (!ok(envelope_seal(message, who->sign_secret, &bytes, ret_n, &why)))
        fail_msg("%s", why.text);
    return bytes;
}

struct ipc_message hospital_offer(struct hospital *hospital)
{
    size_t launch_n = 0, n = 0;
    struct message *message = hospital_message(hospital, MESSAGE_COMMAND, 0);
    strcpy(message->command.verb, "launch");
    strcpy(message->head.receiver, "coordinator");
    message->command.text_n = strlen(hospital->plan_text);
    memcpy(message->command.text, hospital->plan_text, message->command.text_n);
    unsigned char *launch =
        hospital_sign(hospital, &hospital->researcher, "anna", message, &launch_n);
    message = hospital_message(hospital, MESSAGE_STUDY_OFFER, 0);
    memcpy(message->study_offer.launch, launch, launch_n);
    message->study_offer.launch_n = launch_n;
    memcpy(message->study_offer.researcher_key, hospital->researcher.sign_public, 32);
    unsigned char *offer =
        hospital_sign(hospital, &hospital->coordinator, "coordinator", message, &n);
    struct bytes_out body = {0};
    bytes_out_block(&body, offer, n);
    free(launch);
    free(offer);
    return (struct ipc_message){.type = IPC_STUDY, .body = body.bytes, .n = body.n};
}

unsigned char *hospital_model(struct hospital *hospital, uint32_t round, float value, size_t *ret_n)
{
    struct model model;
    struct why why;
    unsigned char *plain = NULL;
    assert_true(ok(plan_build_model(&hospital->plan, &model, &why)));
    float *parameters = malloc(model.parameters * sizeof *parameters);
    for (size_t i = 0; i < model.parameters; i++)
        parameters[i] = value;
    struct payload_model one = {.name = "global", .parameters = parameters};
    struct payload_model_set set = {.round = round,
                                    .parameters_count = model.parameters,
                                    .models_count = 1,
                                    .models = &one};
    assert_true(ok(payload_model_set_encode(&set, &plain, ret_n, &why)));
    free(parameters);
    return plain;
}

static struct ipc_message make_task(struct hospital *hospital, enum task_kind kind, uint32_t task,
                                    uint32_t round, const unsigned char *plain, size_t n,
                                    bool whole)
{
    struct message_object_offer offer = {0};
    struct why why;
    unsigned char key[32], *cipher = NULL;
    size_t cipher_n = 0, order_n = 0, offer_n = 0;
    assert_true(ok(transfer_seal(plain, n, &offer, key, &cipher, &cipher_n, &why)));
    assert_true(ok(transfer_seal_key(&offer, key, hospital->site.seal_public, &why)));
    offer.kind = OBJECT_MODEL;
    struct message *message = hospital_message(hospital, MESSAGE_TASK, task);
    message->task = (struct message_task){.kind = kind,
                                          .round = round,
                                          .deadline_ms = clock_unix_ms() + 60000,
                                          .after_study = hospital->after_study,
                                          .epochs_after = hospital->epochs_after};
    memcpy(message->task.plan_hash, hospital->plan.hash, PLAN_HASH_BYTES);
    memcpy(message->task.model_hash, offer.plain_hash, PLAN_HASH_BYTES);
    memcpy(message->task.object, offer.object, OBJECT_ID_BYTES);
    memcpy(hospital->last_model, offer.plain_hash, PLAN_HASH_BYTES);
    unsigned char *order =
        hospital_sign(hospital, &hospital->coordinator, "coordinator", message, &order_n);
    message = hospital_message(hospital, MESSAGE_OBJECT_OFFER, task);
    message->object_offer = offer;
    unsigned char *envelope =
        hospital_sign(hospital, &hospital->coordinator, "coordinator", message, &offer_n);
    struct bytes_out body = {0};
    bytes_out_u64(&body, 1000);
    bytes_out_block(&body, order, order_n);
    bytes_out_block(&body, envelope, whole ? offer_n : 0);
    if (whole)
        bytes_out_bytes(&body, cipher, cipher_n);
    free(order);
    free(envelope);
    free(cipher);
    return (struct ipc_message){.type = IPC_TASK, .body = body.bytes, .n = body.n};
}

struct ipc_message hospital_task(struct hospital *hospital, enum task_kind kind, uint32_t task,
                                 uint32_t round, float value, bool model)
{
    size_t n = 0;
    unsigned char *plain = hospital_model(hospital, round, value, &n);
    struct ipc_message request = make_task(hospital, kind, task, round, plain, n, model);
    free(plain);
    return request;
}

struct ipc_message hospital_task_with(struct hospital *hospital, enum task_kind kind, uint32_t task,
                                      uint32_t round, const unsigned char *input, size_t n)
{
    return make_task(hospital, kind, task, round, input, n, true);
}

struct vault_reply hospital_ask(struct hospital *hospital, struct ipc_message request)
{
    struct vault_reply reply;
    struct why why;
    if (!ok(vault_handle(&hospital->vault, &request, &reply, &why)))
        fail_msg("%s", why.text);
    free(request.body);
    return reply;
}

unsigned char *hospital_open_result(struct hospital *hospital, struct vault_reply *reply,
                                    size_t *ret_n)
{
    struct why why;
    unsigned char *plain = NULL;
    const struct hospital_key *key = &hospital->coordinator;
    assert_int_equal(reply->type, IPC_RESULT);
    if (!ok(transfer_open(&reply->message->object_offer, key->seal_public, key->seal_secret,
                          reply->tail, reply->tail_n, &plain, ret_n, &why)))
        fail_msg("%s", why.text);
    free(reply->tail);
    reply->tail = NULL;
    return plain;
}
