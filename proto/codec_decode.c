/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to messages: unpacks with a memory budget, then copies field by field within the limits. */
#include "proto/codec.h"

#include "proto/codec_field.h"
#include "proto/schema/consilium.pb-c.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DECODE_MEMORY_MAX = 4 * 1024 * 1024 }; /* small fields cost more unpacked than on the wire */

static struct result read_hello(struct message_hello *to, const Cns__Hello *from, struct why *why)
{
    to->protocol_oldest = from->protocol_oldest;
    to->protocol_newest = from->protocol_newest;
    to->peak_memory_kb = from->peak_memory_kb;
    return field_text(to->software, sizeof to->software, from->software, "software", why);
}

static struct result read_study_answer(struct message_study_answer *to,
                                       const Cns__StudyAnswer *from, struct why *why)
{
    TRY(field_bytes(to->plan_hash, sizeof to->plan_hash, from->plan_hash, "plan_hash", why));
    TRY(field_text(to->reason, sizeof to->reason, from->reason, "reason", why));
    TRY(field_bytes(to->data_fingerprint, sizeof to->data_fingerprint, from->data_fingerprint,
                    "data_fingerprint", why));
    if (from->verdict < STUDY_ALLOWED || from->verdict > STUDY_REFUSED)
        return failed(why, RESULT_INPUT, "field 'verdict' is %u, not a verdict", from->verdict);
    if (!isfinite(from->epsilon_budget) || from->epsilon_budget < 0.0)
        return failed(why, RESULT_INPUT, "field 'epsilon_budget' is not a number of at least 0");
    to->verdict = (enum study_verdict)from->verdict;
    to->declared_patients = from->declared_patients;
    to->epsilon_budget = from->epsilon_budget;
    return DONE;
}

static struct result read_task(struct message_task *to, const Cns__Task *from, struct why *why)
{
    if (!task_kind_known(from->kind))
        return failed(why, RESULT_INPUT, "field 'kind' is %u, not a kind of task", from->kind);
    to->kind = (enum task_kind)from->kind;
    to->round = from->round;
    to->deadline_ms = from->deadline_ms;
    to->after_study = from->after_study;
    to->epochs_after = from->epochs_after;
    if (from->epochs_after > EVALUATION_EPOCHS_MAX)
        return failed(why, RESULT_INPUT, "field 'epochs_after' is %u, more than %d",
                      from->epochs_after, EVALUATION_EPOCHS_MAX);
    TRY(field_bytes(to->plan_hash, sizeof to->plan_hash, from->plan_hash, "plan_hash", why));
    TRY(field_bytes(to->model_hash, sizeof to->model_hash, from->model_hash, "model_hash", why));
    TRY(field_bytes(to->seed, sizeof to->seed, from->seed, "seed", why));
    return field_bytes(to->object, sizeof to->object, from->object, "object", why);
}

/* Older coordinators do not name it. */
static struct result read_optional_hash(unsigned char to[PLAN_HASH_BYTES], ProtobufCBinaryData from,
                                        const char *field, struct why *why)
{
    memset(to, 0, PLAN_HASH_BYTES);
    return from.len > 0 ? field_bytes(to, PLAN_HASH_BYTES, from, field, why) : DONE;
}

static struct result read_task_declined(struct message_task_declined *to,
                                        const Cns__TaskDeclined *from, struct why *why)
{
    /* A newer site may know more kinds. */
    to->kind = from->kind <= DECLINE_LAST ? (enum decline)from->kind : DECLINE_OTHER;
    return field_text(to->reason, sizeof to->reason, from->reason, "reason", why);
}

static struct result read_task_closed(struct message_task_closed *to, const Cns__TaskClosed *from,
                                      struct why *why)
{
    if (!from->own)
        return failed(why, RESULT_INPUT, "field 'own' is missing");
    to->completed = from->completed;
    to->own.counted = from->own->counted;
    to->counted = from->counted;
    to->refused = from->refused;
    to->missing = from->missing;
    to->study_finished = from->study_finished;
    TRY(field_text(to->own.site, sizeof to->own.site, from->own->site, "site", why));
    TRY(field_text(to->own.reason, sizeof to->own.reason, from->own->reason, "reason", why));
    TRY(read_optional_hash(to->candidate_hash, from->candidate_hash, "candidate_hash", why));
    TRY(read_optional_hash(to->best_hash, from->best_hash, "best_hash", why));
    TRY(field_text(to->notice, sizeof to->notice, from->notice, "notice", why));
    return field_bytes(to->model_hash, sizeof to->model_hash, from->model_hash, "model_hash", why);
}

static struct result read_object_offer(struct message_object_offer *to,
                                       const Cns__ObjectOffer *from, struct why *why)
{
    if ((from->kind < OBJECT_MODEL || from->kind > OBJECT_REPLY) && from->kind != OBJECT_SECURE)
        return failed(why, RESULT_INPUT, "field 'kind' is %u, not a kind of object", from->kind);
    if (from->plain_bytes > OBJECT_BYTES_MAX)
        return failed(why, RESULT_INPUT, "an object of %llu bytes is larger than %d",
                      (unsigned long long)from->plain_bytes, OBJECT_BYTES_MAX);
    to->kind = (enum object_kind)from->kind;
    if (from->packed_bytes > 0 && from->packed_bytes >= from->plain_bytes)
        return failed(why, RESULT_INPUT, "an object of %llu bytes is not packed into %llu",
                      (unsigned long long)from->plain_bytes,
                      (unsigned long long)from->packed_bytes);
    to->plain_bytes = from->plain_bytes;
    to->packed_bytes = from->packed_bytes;
    TRY(field_bytes(to->object, sizeof to->object, from->object, "object", why));
    TRY(field_bytes(to->plain_hash, sizeof to->plain_hash, from->plain_hash, "plain_hash", why));
    TRY(field_bytes(to->cipher_hash, sizeof to->cipher_hash, from->cipher_hash, "cipher_hash",
                    why));
    TRY(field_bytes(to->sealed_key, sizeof to->sealed_key, from->sealed_key, "sealed_key", why));
    TRY(field_bytes(to->model_hash, sizeof to->model_hash, from->model_hash, "model_hash", why));
    return field_bytes(to->command, sizeof to->command, from->command, "command", why);
}

static struct result read_object_ack(struct message_object_ack *to, const Cns__ObjectAck *from,
                                     struct why *why)
{
    if (from->n_missing > OBJECT_ACK_RANGES_MAX)
        return failed(why, RESULT_INPUT, "field 'missing' has %zu ranges, more than %d",
                      from->n_missing, OBJECT_ACK_RANGES_MAX);
    to->next = from->next;
    to->granted = from->granted;
    to->missing_count = from->n_missing;
    for (size_t i = 0; i < from->n_missing; i++)
        to->missing[i] = (struct chunk_range){from->missing[i]->first, from->missing[i]->count};
    return field_bytes(to->object, sizeof to->object, from->object, "object", why);
}

static struct result read_reply(struct message_reply *to, const Cns__Reply *from, struct why *why)
{
    to->exit_code = from->exit_code;
    to->in_object = from->in_object;
    TRY(field_bytes(to->id, sizeof to->id, from->id, "id", why));
    TRY(field_text(to->sentence, sizeof to->sentence, from->sentence, "sentence", why));
    return field_blob(to->text, sizeof to->text, &to->text_n, from->text, "text", why);
}

static struct result read_command(struct message_command *to, const Cns__Command *from,
                                  struct why *why)
{
    TRY(field_bytes(to->id, sizeof to->id, from->id, "id", why));
    TRY(field_text(to->verb, sizeof to->verb, from->verb, "verb", why));
    return field_blob(to->text, sizeof to->text, &to->text_n, from->text, "text", why);
}

static struct result read_tree_head(struct message_tree_head *to, const Cns__TreeHead *from,
                                    struct why *why)
{
    size_t n = 0;
    TRY(field_bytes(to->root.bytes, MERKLE_HASH_BYTES, from->root, "root", why));
    TRY(field_bytes(to->signature, sizeof to->signature, from->signature, "signature", why));
    TRY(field_blob(to->proof.hash, sizeof to->proof.hash, &n, from->proof, "proof", why));
    if (n % MERKLE_HASH_BYTES != 0)
        return failed(why, RESULT_INPUT, "field 'proof' of %zu bytes is no list of hashes", n);
    to->proof.count = n / MERKLE_HASH_BYTES;
    to->size = from->size;
    to->ms = from->ms;
    to->old_size = from->old_size;
    return DONE;
}

static struct result read_tree_witness(struct message_tree_witness *to,
                                       const Cns__TreeWitness *from, struct why *why)
{
    if (from->answer < TREE_COSIGNED || from->answer > TREE_INCONSISTENT)
        return failed(why, RESULT_INPUT, "field 'answer' is %u, not an answer", from->answer);
    TRY(field_bytes(to->root.bytes, MERKLE_HASH_BYTES, from->root, "root", why));
    TRY(field_bytes(to->signature, sizeof to->signature, from->signature, "signature", why));
    to->answer = (enum tree_answer)from->answer;
    to->size = from->size;
    to->ms = from->ms;
    return DONE;
}

static struct result read_body(struct message *to, const Cns__Message *from, struct why *why)
{
    switch (from->body_case) {
    case CNS__MESSAGE__BODY_HELLO:
        to->kind = MESSAGE_HELLO;
        return read_hello(&to->hello, from->hello, why);
    case CNS__MESSAGE__BODY_STUDY_OFFER:
        to->kind = MESSAGE_STUDY_OFFER;
        TRY(field_bytes(to->study_offer.researcher_key, sizeof to->study_offer.researcher_key,
                        from->study_offer->researcher_key, "researcher_key", why));
        return field_blob(to->study_offer.launch, sizeof to->study_offer.launch,
                          &to->study_offer.launch_n, from->study_offer->launch, "launch", why);
    case CNS__MESSAGE__BODY_STUDY_ANSWER:
        to->kind = MESSAGE_STUDY_ANSWER;
        return read_study_answer(&to->study_answer, from->study_answer, why);
    case CNS__MESSAGE__BODY_TASK_OPEN:
        to->kind = MESSAGE_TASK;
        return read_task(&to->task, from->task_open, why);
    case CNS__MESSAGE__BODY_TASK_DECLINED:
        to->kind = MESSAGE_TASK_DECLINED;
        return read_task_declined(&to->task_declined, from->task_declined, why);
    case CNS__MESSAGE__BODY_TASK_CLOSED:
        to->kind = MESSAGE_TASK_CLOSED;
        return read_task_closed(&to->task_closed, from->task_closed, why);
    case CNS__MESSAGE__BODY_OBJECT_OFFER:
        to->kind = MESSAGE_OBJECT_OFFER;
        return read_object_offer(&to->object_offer, from->object_offer, why);
    case CNS__MESSAGE__BODY_OBJECT_ACK:
        to->kind = MESSAGE_OBJECT_ACK;
        return read_object_ack(&to->object_ack, from->object_ack, why);
    case CNS__MESSAGE__BODY_OBJECT_DONE:
        to->kind = MESSAGE_OBJECT_DONE;
        to->object_done.accepted = from->object_done->accepted;
        TRY(field_bytes(to->object_done.object, OBJECT_ID_BYTES, from->object_done->object,
                        "object", why));
        return field_text(to->object_done.reason, sizeof to->object_done.reason,
                          from->object_done->reason, "reason", why);
    case CNS__MESSAGE__BODY_COMMAND:
        to->kind = MESSAGE_COMMAND;
        return read_command(&to->command, from->command, why);
    case CNS__MESSAGE__BODY_REPLY:
        to->kind = MESSAGE_REPLY;
        return read_reply(&to->reply, from->reply, why);
    case CNS__MESSAGE__BODY_TREE_HEAD:
        to->kind = MESSAGE_TREE_HEAD;
        return read_tree_head(&to->tree_head, from->tree_head, why);
    case CNS__MESSAGE__BODY_TREE_WITNESS:
        to->kind = MESSAGE_TREE_WITNESS;
        return read_tree_witness(&to->tree_witness, from->tree_witness, why);
    case CNS__MESSAGE__BODY__NOT_SET:
    default:
        return failed(
            why, RESULT_INPUT,
            "the message has no body known to protocol version %d: the sender runs a newer "
            "version, or sent something else",
            PROTOCOL_VERSION);
    }
}

static struct result read_head(struct message_head *to, const Cns__Message *from, struct why *why)
{
    TRY(field_text(to->consortium, sizeof to->consortium, from->consortium, "consortium", why));
    TRY(field_text(to->sender, sizeof to->sender, from->sender, "sender", why));
    TRY(field_text(to->receiver, sizeof to->receiver, from->receiver, "receiver", why));
    TRY(field_text(to->study, sizeof to->study, from->study, "study", why));
    TRY(field_bytes(to->session, sizeof to->session, from->session, "session", why));
    to->sequence = from->sequence;
    to->sent_ms = from->sent_ms;
    to->task = from->task;
    to->ledger_records = from->ledger_records;
    if (from->ledger_records > 0)
        return field_bytes(to->ledger_head, sizeof to->ledger_head, from->ledger_head,
                           "ledger_head", why);
    return DONE;
}

struct result message_decode(struct message *message, const unsigned char *bytes, size_t n,
                             struct why *why)
{
    if (n > MESSAGE_BYTES_MAX)
        return failed(why, RESULT_INPUT, "a message of %zu bytes is larger than %d", n,
                      MESSAGE_BYTES_MAX);
    struct field_budget budget;
    field_budget_start(&budget, DECODE_MEMORY_MAX);
    Cns__Message *m = cns__message__unpack(&budget.allocator, n, bytes);
    if (!m)
        return failed(why, RESULT_INPUT, "the message is malformed or truncated");
    struct result r = read_head(&message->head, m, why);
    if (ok(r))
        r = read_body(message, m, why);
    cns__message__free_unpacked(m, &budget.allocator);
    return r;
}
