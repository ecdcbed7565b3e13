/* SPDX-License-Identifier: Apache-2.0 */
/* The drive between a real store and a link in memory: a study by hand-made members, a crash in
 * every round, and everything that a hostile member or broker may send. */
#include "drive_world.h"

static void a_study_through_crashes(void **state)
{
    (void)state;
    start_training();
    command(&party[RESEARCHER], "launch", PLAN); /* the same plan twice is one study */
    assert_int_equal(party[RESEARCHER].reply.exit_code, 0);
    while (stored()->phase != STUDY_FINISHED) {
        for (int i = 0; i < SITES; i++) {
            now_ms += 10;
            answer(i, (float)i);
            assert_true(party[i].done.accepted);
            crash();
        }
        assert_true(stored()->tasks < 6);
    }
    assert_int_equal(stored()->round, 3);
    assert_int_equal(stored()->tasks, 4);
    assert_true(party[0].closed.study_finished && party[0].closed.own.counted);
    struct store_bytes model;
    assert_true(ok(store_read_model(store, stored()->best, &model, &why)));
    struct payload_model_set set;
    assert_true(ok(payload_model_set_decode(&set, model.bytes, model.n, &why)));
    assert_true(set.models[0].parameters[0] == 3.f && set.models[0].parameters[1] == -3.f);
    payload_model_set_free(&set);
    free(model.bytes);
    for (const char *const *verb =
             (const char *const[]){"status", "events", "report", "model", "plan", NULL};
         *verb; verb++) {
        command(&party[RESEARCHER], *verb, "{\"study\":\"s\"}");
        assert_int_equal(party[RESEARCHER].reply.exit_code, 0);
        assert_true(party[RESEARCHER].reply.in_object);
    }
}

static void answers_count_once(void **state)
{
    (void)state;
    start_training();
    answer(0, 1);
    assert_true(party[0].done.accepted);
    offer_answer(&party[0]); /* again, as after a lost word */
    settle();
    assert_int_equal(party[0].dones, 2);
    assert_true(party[0].done.accepted);
    answer(0, 2); /* another one */
    assert_false(party[0].done.accepted);
    assert_non_null(strstr(party[0].done.reason, "concluded"));
    struct store_bytes payload;
    assert_true(ok(store_read_object(store, "s", 1, 0, &payload, &why)));
    free(payload.bytes);
    assert_int_equal(stored()->task.sites[0].standing, STANDING_COUNTED);
    assert_int_equal(stored()->round, 0);
}

/* Each site hears the longest that it told of its privacy ledger, whatever happens in between. */
static void ledgers_are_told_back(void **state)
{
    (void)state;
    static const unsigned char SEVEN[4] = {7, 7, 7, 7};
    party[0].ledger_records = 5;
    party[1].ledger_records = 2;
    start_training();
    assert_int_equal(party[0].told_records, 5);
    assert_int_equal(party[1].told_records, 2);
    assert_int_equal(party[2].told_records, 0);
    party[0].ledger_records = 7;
    answer(0, 1);
    crash();
    party[0].ledger_records = 6; /* set back, or an older word that came late */
    answer(1, 1);
    answer(2, 1);
    assert_int_equal(stored()->round, 1);
    assert_int_equal(party[0].told_records, 7);
    assert_memory_equal(party[0].told_head, SEVEN, sizeof SEVEN);
    answer(0, 1);
    now_ms += 10;
    answer(1, 1);
    answer(2, 1);
    assert_int_equal(stored()->round, 2);
    assert_int_equal(party[0].told_records, 7);
    /* With a new key the site is another one, with a ledger of its own. */
    crypto_sign_keypair(party[0].member.sign_public, party[0].sign_secret);
    party[0].ledger_records = 1;
    answer(0, 1);
    answer(1, 1);
    answer(2, 1);
    assert_int_equal(party[0].told_records, 1);
}

static void wrong_objects_are_refused(void **state)
{
    (void)state;
    start_training();
    struct party *p = &party[1];
    seal_answer(p, 100, 1);
    p->out.offer.model_hash[0] ^= 1;
    offer_answer(p);
    settle();
    assert_non_null(strstr(p->done.reason, "another model"));
    seal_answer(p, 100, 1);
    p->out.offer.kind = OBJECT_EVALUATION;
    offer_answer(p);
    settle();
    assert_non_null(strstr(p->done.reason, "asks for an update"));
    seal_answer(p, 100, 1);
    p->task_number = 9;
    offer_answer(p);
    settle();
    assert_non_null(strstr(p->done.reason, "task 1"));
    p->task_number = 1;
    seal_answer(p, 100, 1);
    p->out.offer.plain_bytes = 1 << 29;
    offer_answer(p);
    settle();
    assert_non_null(strstr(p->done.reason, "larger"));
    /* Its own part is not concluded by any of that. */
    assert_int_equal(stored()->task.sites[1].standing, STANDING_EXPECTED);
    /* The broker spoils a chunk: the same object may come again. */
    unsigned dones = p->dones;
    seal_answer(p, 100, 1);
    p->cipher[3] ^= 1;
    offer_answer(p);
    settle();
    assert_int_equal(p->dones, dones);
    assert_int_equal(stored()->task.sites[1].standing, STANDING_EXPECTED);
    /* What the site itself got wrong concludes its part, with the reason. */
    seal_answer(p, 5000, 1);
    offer_answer(p);
    settle();
    assert_false(p->done.accepted);
    assert_int_equal(stored()->task.sites[1].standing, STANDING_REFUSED);
    assert_non_null(strstr(stored()->task.sites[1].reason, "5000 patients"));
}

static void forged_and_replayed_messages(void **state)
{
    (void)state;
    start_training();
    struct party *p = &party[2];
    unsigned tasks = p->tasks;
    hello(p, 1);
    assert_int_equal(p->tasks, tasks + 1);
    publish("site2", TOPIC_MESSAGE, p->last_envelope, p->last_envelope_n); /* replayed */
    publish("site1", TOPIC_MESSAGE, p->last_envelope, p->last_envelope_n); /* another's topic */
    settle();
    assert_int_equal(p->tasks, tasks + 1);
    /* Signed with another key, cut off, noise, too large. */
    unsigned char secret[ENVELOPE_SIGN_SECRET_BYTES];
    memcpy(secret, p->sign_secret, sizeof secret);
    memcpy(p->sign_secret, party[1].sign_secret, sizeof secret);
    compose(p, MESSAGE_TASK_DECLINED, "s", 1);
    strcpy(message.task_declined.reason, "forged");
    post(p);
    memcpy(p->sign_secret, secret, sizeof secret);
    settle();
    publish("site2", TOPIC_MESSAGE, p->last_envelope, p->last_envelope_n / 2);
    unsigned char noise[1000];
    randombytes_buf(noise, sizeof noise);
    publish("site2", TOPIC_MESSAGE, noise, sizeof noise);
    publish("site2", TOPIC_CHUNK, noise, sizeof noise);
    publish("site2", TOPIC_CHUNK, noise, 3);
    settle();
    assert_int_equal(stored()->task.sites[2].standing, STANDING_EXPECTED);
    /* For another consortium or receiver; of a role that may not say it. */
    compose(p, MESSAGE_TASK_DECLINED, "s", 1);
    strcpy(message.head.consortium, "other");
    post(p);
    compose(p, MESSAGE_TASK_DECLINED, "s", 1);
    strcpy(message.head.receiver, "site1");
    post(p);
    compose(p, MESSAGE_COMMAND, "s", 1);
    strcpy(message.command.verb, "stop");
    post(p);
    compose(&party[AUDITOR], MESSAGE_TASK_DECLINED, "s", 1);
    post(&party[AUDITOR]);
    settle();
    assert_int_equal(stored()->task.sites[2].standing, STANDING_EXPECTED);
    assert_int_equal(stored()->phase, STUDY_TRAINING);
    /* Revoked in the middle. */
    p->member.revoked = true;
    drive_roster_changed(drive, now_ms);
    compose(p, MESSAGE_STUDY_ANSWER, "s", 0);
    message.study_answer.verdict = STUDY_ALLOWED;
    post(p);
    settle();
    assert_int_equal(stored()->members[2].verdict, MEMBER_REVOKED);
}

/* While the coordinator was busy its asker asked again and again: one answer will do. */
static void a_queue_of_copies_gets_one_answer(void **state)
{
    (void)state;
    struct party *ada = &party[RESEARCHER];
    unsigned char id[SESSION_ID_BYTES];
    randombytes_buf(id, sizeof id);
    unsigned replies = (unsigned)ada->replies;
    for (int copy = 0; copy < 5; copy++) {
        compose(ada, MESSAGE_COMMAND, "", 0);
        memcpy(message.command.id, id, sizeof id);
        strcpy(message.command.verb, "status");
        message.command.text_n = 2;
        memcpy(message.command.text, "{}", 2);
        post(ada);
    }
    settle();
    assert_int_equal(ada->replies, replies + 1);
    command(ada, "status", "{}");
    assert_int_equal(ada->replies, replies + 2);
}

static void users_keep_to_their_roles(void **state)
{
    (void)state;
    struct party *ada = &party[RESEARCHER], *uma = &party[AUDITOR];
    command(uma, "launch", PLAN);
    assert_int_equal(uma->reply.exit_code, 1);
    command(ada, "launch", "version: 1\n");
    assert_int_equal(ada->reply.exit_code, 2);
    command(ada, "dance", "{}");
    assert_int_equal(ada->reply.exit_code, 2);
    command(ada, "status", "no JSON");
    assert_int_equal(ada->reply.exit_code, 2);
    command(ada, "report", "{}");
    assert_int_equal(ada->reply.exit_code, 2);
    command(ada, "report", "{\"study\":\"none\"}");
    assert_int_equal(ada->reply.exit_code, 2);
    start_training();
    answer(0, 1);
    command(ada, "object", "{\"study\":\"s\",\"task\":1,\"site\":\"site0\"}");
    assert_int_equal(ada->reply.exit_code, 1);
    command(uma, "object", "{\"study\":\"s\",\"task\":1,\"site\":\"site0\"}");
    assert_int_equal(uma->reply.exit_code, 0);
    command(uma, "object", "{\"study\":\"s\",\"task\":1,\"site\":\"site1\"}");
    assert_int_equal(uma->reply.exit_code, 2);
    command(uma, "log", "{\"since\":-1}");
    assert_int_equal(uma->reply.exit_code, 2);
    command(uma, "log", "{\"since\":0}");
    assert_int_equal(uma->reply.exit_code, 0);
    command(uma, "stop", "{\"study\":\"s\"}");
    assert_int_equal(uma->reply.exit_code, 1);
    command(ada, "resume", "{\"study\":\"s\"}");
    assert_int_equal(ada->reply.exit_code, 1);
    command(ada, "stop", "{\"study\":\"s\"}");
    assert_int_equal(ada->reply.exit_code, 0);
    assert_int_equal(stored()->phase, STUDY_STOPPED);
    assert_true(party[0].closed.study_finished);
    char other[sizeof PLAN + 2];
    snprintf(other, sizeof other, "%s#\n", PLAN);
    command(ada, "launch", other); /* another plan of the same name */
    assert_int_equal(ada->reply.exit_code, 1);
    party[2].member.revoked = true;
    char *name = strstr(other, "study: s");
    name[7] = 't';
    command(ada, "launch", other);
    assert_int_equal(ada->reply.exit_code, 1);
    assert_non_null(strstr(ada->reply.sentence, "site2"));
}

static void the_silent_cost_one_deadline(void **state)
{
    (void)state;
    start_training();
    answer(0, 1);
    answer(1, 1);
    assert_int_equal(stored()->round, 0);
    now_ms += 10001;
    settle();
    assert_int_equal(stored()->round, 1);
    unsigned tasks = party[2].tasks;
    answer(0, 1);
    answer(1, 1);
    assert_int_equal(stored()->round, 2);
    assert_int_equal(party[2].tasks, tasks);
    assert_true(drive_wake(drive) > now_ms);
    hello(&party[2], 1);
    assert_int_equal(party[2].tasks, tasks + 1);
    answer(2, 1);
    assert_true(party[2].done.accepted);
}

/* A plan whose model is large enough to shrink. */
static void launch_larger(void)
{
    static const char KIND[] = "{kind: logistic}";
    static const char LARGER[] = "{kind: mlp, hidden: [64, 64]}";
    char plan[sizeof PLAN + sizeof LARGER];
    const char *at = strstr(PLAN, KIND);
    snprintf(plan, sizeof plan, "%.*s%s%s", (int)(at - PLAN), PLAN, LARGER, at + strlen(KIND));
    command(&party[RESEARCHER], "launch", plan);
    assert_int_equal(party[RESEARCHER].reply.exit_code, 0);
    for (int i = 0; i < SITES; i++) {
        compose(&party[i], MESSAGE_STUDY_ANSWER, "s", 0);
        crypto_generichash(message.study_answer.plan_hash, PLAN_HASH_BYTES,
                           (const unsigned char *)plan, strlen(plan), NULL, 0);
        message.study_answer.verdict = STUDY_ALLOWED;
        message.study_answer.declared_patients = 100;
        post(&party[i]);
        settle();
    }
}

static void models_travel_packed_to_those_that_take_them(void **state)
{
    (void)state;
    hello(&party[1], 2);
    hello(&party[2], 3);
    launch_larger();
    for (int i = 0; i < SITES; i++) {
        assert_int_equal(party[i].tasks, 1);
        assert_int_equal(party[i].model.packed_bytes > 0, i > 0);
        assert_memory_equal(party[i].model.object, party[i].task.object, OBJECT_ID_BYTES);
        assert_memory_equal(party[i].model.plain_hash, party[0].task.model_hash, PLAN_HASH_BYTES);
    }
    /* After a restart nothing is taken for granted until the site speaks again. */
    crash();
    hello(&party[1], 1);
    assert_int_equal(party[1].model.packed_bytes, 0);
    hello(&party[1], 2);
    assert_in_range(party[1].model.packed_bytes, 1, party[1].model.plain_bytes * 9 / 10);
    assert_memory_equal(party[1].model.object, party[1].task.object, OBJECT_ID_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_study_through_crashes, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_count_once, setup, teardown),
        cmocka_unit_test_setup_teardown(ledgers_are_told_back, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_objects_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(forged_and_replayed_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queue_of_copies_gets_one_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(users_keep_to_their_roles, setup, teardown),
        cmocka_unit_test_setup_teardown(the_silent_cost_one_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(models_travel_packed_to_those_that_take_them, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("drive", tests, NULL, NULL);
}
