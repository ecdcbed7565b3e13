/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to bytes: fills the generated structs with borrowed views and packs them. Decoding is in
 * codec_decode.c. */
#include "proto/codec.h"

#include "proto/codec_field.h"
#include "proto/schema/consilium.pb-c.h"

#include <stdlib.h>
#include <string.h>

/* The generated bodies and what they point to, alive while the message is packed. */
struct bodies {
    union {
        Cns__Hello hello;
        Cns__StudyOffer study_offer;
        Cns__StudyAnswer study_answer;
        Cns__Task task;
        Cns__TaskDeclined task_declined;
        Cns__TaskClosed task_closed;
        Cns__ObjectOffer object_offer;
        Cns__ObjectAck object_ack;
        Cns__ObjectDone object_done;
        Cns__Command command;
        Cns__Reply reply;
        Cns__TreeHead tree_head;
        Cns__TreeWitness tree_witness;
    };
    Cns__Outcome outcome;
    Cns__Range ranges[OBJECT_ACK_RANGES_MAX];
    Cns__Range *range_pointers[OBJECT_ACK_RANGES_MAX];
};

static void fill_hello(Cns__Message *m, struct bodies *b, const struct message_hello *in)
{
    cns__hello__init(&b->hello);
    b->hello.protocol_oldest = in->protocol_oldest;
    b->hello.protocol_newest = in->protocol_newest;
    b->hello.software = field_string(in->software);
    b->hello.peak_memory_kb = in->peak_memory_kb;
    m->body_case = CNS__MESSAGE__BODY_HELLO;
    m->hello = &b->hello;
}

static void fill_study_answer(Cns__Message *m, struct bodies *b,
                              const struct message_study_answer *in)
{
    cns__study_answer__init(&b->study_answer);
    b->study_answer.plan_hash = field_view(in->plan_hash, sizeof in->plan_hash);
    b->study_answer.verdict = in->verdict;
    b->study_answer.reason = field_string(in->reason);
    b->study_answer.declared_patients = in->declared_patients;
    b->study_answer.data_fingerprint =
        field_view(in->data_fingerprint, sizeof in->data_fingerprint);
    b->study_answer.epsilon_budget = in->epsilon_budget;
    m->body_case = CNS__MESSAGE__BODY_STUDY_ANSWER;
    m->study_answer = &b->study_answer;
}

static void fill_task(Cns__Message *m, struct bodies *b, const struct message_task *in)
{
    cns__task__init(&b->task);
    b->task.kind = in->kind;
    b->task.round = in->round;
    b->task.plan_hash = field_view(in->plan_hash, sizeof in->plan_hash);
    b->task.model_hash = field_view(in->model_hash, sizeof in->model_hash);
    b->task.seed = field_view(in->seed, sizeof in->seed);
    b->task.deadline_ms = in->deadline_ms;
    b->task.object = field_view(in->object, sizeof in->object);
    b->task.after_study = in->after_study;
    b->task.epochs_after = in->epochs_after;
    m->body_case = CNS__MESSAGE__BODY_TASK_OPEN;
    m->task_open = &b->task;
}

static void fill_task_closed(Cns__Message *m, struct bodies *b,
                             const struct message_task_closed *in)
{
    cns__outcome__init(&b->outcome);
    b->outcome.site = field_string(in->own.site);
    b->outcome.counted = in->own.counted;
    b->outcome.reason = field_string(in->own.reason);
    cns__task_closed__init(&b->task_closed);
    b->task_closed.completed = in->completed;
    b->task_closed.model_hash = field_view(in->model_hash, sizeof in->model_hash);
    b->task_closed.own = &b->outcome;
    b->task_closed.counted = in->counted;
    b->task_closed.refused = in->refused;
    b->task_closed.missing = in->missing;
    b->task_closed.study_finished = in->study_finished;
    b->task_closed.candidate_hash = field_view(in->candidate_hash, sizeof in->candidate_hash);
    b->task_closed.best_hash = field_view(in->best_hash, sizeof in->best_hash);
    b->task_closed.notice = field_string(in->notice);
    m->body_case = CNS__MESSAGE__BODY_TASK_CLOSED;
    m->task_closed = &b->task_closed;
}

static void fill_object_offer(Cns__Message *m, struct bodies *b,
                              const struct message_object_offer *in)
{
    Cns__ObjectOffer *out = &b->object_offer;
    cns__object_offer__init(out);
    out->object = field_view(in->object, sizeof in->object);
    out->kind = in->kind;
    out->plain_bytes = in->plain_bytes;
    out->packed_bytes = in->packed_bytes;
    out->plain_hash = field_view(in->plain_hash, sizeof in->plain_hash);
    out->cipher_hash = field_view(in->cipher_hash, sizeof in->cipher_hash);
    out->sealed_key = field_view(in->sealed_key, sizeof in->sealed_key);
    out->model_hash = field_view(in->model_hash, sizeof in->model_hash);
    out->command = field_view(in->command, sizeof in->command);
    m->body_case = CNS__MESSAGE__BODY_OBJECT_OFFER;
    m->object_offer = out;
}

static void fill_object_ack(Cns__Message *m, struct bodies *b, const struct message_object_ack *in)
{
    for (size_t i = 0; i < in->missing_count; i++) {
        cns__range__init(&b->ranges[i]);
        b->ranges[i].first = in->missing[i].first;
        b->ranges[i].count = in->missing[i].count;
        b->range_pointers[i] = &b->ranges[i];
    }
    cns__object_ack__init(&b->object_ack);
    b->object_ack.object = field_view(in->object, sizeof in->object);
    b->object_ack.next = in->next;
    b->object_ack.granted = in->granted;
    b->object_ack.n_missing = in->missing_count;
    b->object_ack.missing = b->range_pointers;
    m->body_case = CNS__MESSAGE__BODY_OBJECT_ACK;
    m->object_ack = &b->object_ack;
}

static void fill_small(Cns__Message *m, struct bodies *b, const struct message *in)
{
    switch (in->kind) {
    case MESSAGE_STUDY_OFFER:
        cns__study_offer__init(&b->study_offer);
        b->study_offer.launch = field_view(in->study_offer.launch, in->study_offer.launch_n);
        b->study_offer.researcher_key =
            field_view(in->study_offer.researcher_key, sizeof in->study_offer.researcher_key);
        m->body_case = CNS__MESSAGE__BODY_STUDY_OFFER;
        m->study_offer = &b->study_offer;
        break;
    case MESSAGE_TASK_DECLINED:
        cns__task_declined__init(&b->task_declined);
        b->task_declined.reason = field_string(in->task_declined.reason);
        b->task_declined.kind = in->task_declined.kind;
        m->body_case = CNS__MESSAGE__BODY_TASK_DECLINED;
        m->task_declined = &b->task_declined;
        break;
    case MESSAGE_OBJECT_DONE:
        cns__object_done__init(&b->object_done);
        b->object_done.object = field_view(in->object_done.object, OBJECT_ID_BYTES);
        b->object_done.accepted = in->object_done.accepted;
        b->object_done.reason = field_string(in->object_done.reason);
        m->body_case = CNS__MESSAGE__BODY_OBJECT_DONE;
        m->object_done = &b->object_done;
        break;
    case MESSAGE_COMMAND:
        cns__command__init(&b->command);
        b->command.id = field_view(in->command.id, sizeof in->command.id);
        b->command.verb = field_string(in->command.verb);
        b->command.text = field_view(in->command.text, in->command.text_n);
        m->body_case = CNS__MESSAGE__BODY_COMMAND;
        m->command = &b->command;
        break;
    case MESSAGE_REPLY:
        cns__reply__init(&b->reply);
        b->reply.id = field_view(in->reply.id, sizeof in->reply.id);
        b->reply.exit_code = in->reply.exit_code;
        b->reply.sentence = field_string(in->reply.sentence);
        b->reply.in_object = in->reply.in_object;
        b->reply.text = field_view(in->reply.text, in->reply.text_n);
        m->body_case = CNS__MESSAGE__BODY_REPLY;
        m->reply = &b->reply;
        break;
    default: /* the larger ones are filled by their own functions */
        break;
    }
}

static void fill_tree(Cns__Message *m, struct bodies *b, const struct message *in)
{
    if (in->kind == MESSAGE_TREE_HEAD) {
        const struct message_tree_head *head = &in->tree_head;
        cns__tree_head__init(&b->tree_head);
        b->tree_head.size = head->size;
        b->tree_head.ms = head->ms;
        b->tree_head.root = field_view(head->root.bytes, MERKLE_HASH_BYTES);
        b->tree_head.signature = field_view(head->signature, sizeof head->signature);
        b->tree_head.old_size = head->old_size;
        b->tree_head.proof =
            field_view(head->proof.hash, head->proof.count * sizeof head->proof.hash[0]);
        m->body_case = CNS__MESSAGE__BODY_TREE_HEAD;
        m->tree_head = &b->tree_head;
        return;
    }
    const struct message_tree_witness *witness = &in->tree_witness;
    cns__tree_witness__init(&b->tree_witness);
    b->tree_witness.answer = witness->answer;
    b->tree_witness.size = witness->size;
    b->tree_witness.ms = witness->ms;
    b->tree_witness.root = field_view(witness->root.bytes, MERKLE_HASH_BYTES);
    b->tree_witness.signature = field_view(witness->signature, sizeof witness->signature);
    m->body_case = CNS__MESSAGE__BODY_TREE_WITNESS;
    m->tree_witness = &b->tree_witness;
}

static void fill_body(Cns__Message *m, struct bodies *b, const struct message *in)
{
    switch (in->kind) {
    case MESSAGE_HELLO:
        fill_hello(m, b, &in->hello);
        break;
    case MESSAGE_STUDY_ANSWER:
        fill_study_answer(m, b, &in->study_answer);
        break;
    case MESSAGE_TASK:
        fill_task(m, b, &in->task);
        break;
    case MESSAGE_TASK_CLOSED:
        fill_task_closed(m, b, &in->task_closed);
        break;
    case MESSAGE_OBJECT_OFFER:
        fill_object_offer(m, b, &in->object_offer);
        break;
    case MESSAGE_OBJECT_ACK:
        fill_object_ack(m, b, &in->object_ack);
        break;
    case MESSAGE_TREE_HEAD:
    case MESSAGE_TREE_WITNESS:
        fill_tree(m, b, in);
        break;
    case MESSAGE_STUDY_OFFER:
    case MESSAGE_TASK_DECLINED:
    case MESSAGE_OBJECT_DONE:
    case MESSAGE_COMMAND:
    case MESSAGE_REPLY:
        fill_small(m, b, in);
        break;
    }
}

/* Our own structs may be wrong too: lengths beyond their arrays would read past them. */
static bool within_limits(const struct message *in)
{
    switch (in->kind) {
    case MESSAGE_STUDY_OFFER:
        return in->study_offer.launch_n <= sizeof in->study_offer.launch;
    case MESSAGE_OBJECT_ACK:
        return in->object_ack.missing_count <= OBJECT_ACK_RANGES_MAX;
    case MESSAGE_COMMAND:
        return in->command.text_n <= sizeof in->command.text;
    case MESSAGE_REPLY:
        return in->reply.text_n <= sizeof in->reply.text;
    case MESSAGE_TREE_HEAD:
        return in->tree_head.proof.count <= MERKLE_PROOF_MAX;
    default:
        return true;
    }
}

struct result message_encode(const struct message *message, unsigned char **ret_bytes,
                             size_t *ret_n, struct why *why)
{
    if (!within_limits(message))
        return failed(why, RESULT_INPUT, "a %s message is longer than its limit",
                      message_kind_name(message->kind));
    struct bodies bodies;
    Cns__Message m;
    cns__message__init(&m);
    m.consortium = field_string(message->head.consortium);
    m.sender = field_string(message->head.sender);
    m.receiver = field_string(message->head.receiver);
    m.session = field_view(message->head.session, sizeof message->head.session);
    m.sequence = message->head.sequence;
    m.sent_ms = message->head.sent_ms;
    m.study = field_string(message->head.study);
    m.task = message->head.task;
    m.ledger_records = message->head.ledger_records;
    if (m.ledger_records > 0)
        m.ledger_head = field_view(message->head.ledger_head, sizeof message->head.ledger_head);
    fill_body(&m, &bodies, message);
    if (m.body_case == CNS__MESSAGE__BODY__NOT_SET)
        return failed(why, RESULT_INPUT, "message kind %d is not known", (int)message->kind);

    size_t n = cns__message__get_packed_size(&m);
    if (n > MESSAGE_BYTES_MAX - 128)
        return failed(why, RESULT_INPUT, "a %s message of %zu bytes is larger than %d",
                      message_kind_name(message->kind), n, MESSAGE_BYTES_MAX - 128);
    unsigned char *bytes = malloc(n + 1);
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "out of memory for a message of %zu bytes", n);
    cns__message__pack(&m, bytes);
    *ret_bytes = bytes;
    *ret_n = n;
    return DONE;
}

const char *message_decline_name(enum decline decline)
{
    static const char *const NAMES[DECLINE_LAST + 1] = {
        [DECLINE_OTHER] = "declined",
        [DECLINE_REFUSED] = "refused_by_policy",
        [DECLINE_ASKING] = "asking",
        [DECLINE_BUDGET] = "budget_exhausted",
        [DECLINE_NO_LABELS] = "no_labels",
        [DECLINE_SCHEMA] = "schema_mismatch",
        [DECLINE_UNKNOWN_MODEL] = "unknown_model",
        [DECLINE_LATE] = "late",
        [DECLINE_BUSY] = "busy",
        [DECLINE_FAILED] = "failed",
    };
    return decline <= DECLINE_LAST ? NAMES[decline] : NAMES[DECLINE_OTHER];
}

const char *message_kind_name(enum message_kind kind)
{
    switch (kind) {
    case MESSAGE_HELLO:
        return "hello";
    case MESSAGE_STUDY_OFFER:
        return "study offer";
    case MESSAGE_STUDY_ANSWER:
        return "study answer";
    case MESSAGE_TASK:
        return "task";
    case MESSAGE_TASK_DECLINED:
        return "task declined";
    case MESSAGE_TASK_CLOSED:
        return "task closed";
    case MESSAGE_OBJECT_OFFER:
        return "object offer";
    case MESSAGE_OBJECT_ACK:
        return "object acknowledgement";
    case MESSAGE_OBJECT_DONE:
        return "object done";
    case MESSAGE_COMMAND:
        return "command";
    case MESSAGE_REPLY:
        return "reply";
    case MESSAGE_TREE_HEAD:
        return "tree head";
    case MESSAGE_TREE_WITNESS:
        return "tree witness";
    }
    return "unknown";
}
