/* SPDX-License-Identifier: Apache-2.0 */
/* A finished model asked for again, through crashes, lost words, refusals and wrong people. */
#include "drive_world.h"

#include "coordinator/monitors.h"

#include <jansson.h>

static void finish_study(void)
{
    start_training();
    while (stored()->phase != STUDY_FINISHED)
        for (int i = 0; i < SITES; i++) {
            now_ms += 10;
            answer(i, (float)i);
        }
}

static const char ASK[] = "{\"study\":\"s\"}";

/* The same command, as often as its asker hears nothing. */
static void insist(struct party *p, const char *verb, const char *text,
                   const unsigned char id[SESSION_ID_BYTES])
{
    compose(p, MESSAGE_COMMAND, "", 0);
    memcpy(message.command.id, id, SESSION_ID_BYTES);
    strcpy(message.command.verb, verb);
    message.command.text_n = strlen(text);
    memcpy(message.command.text, text, message.command.text_n);
    post(p);
    settle();
}

static json_t *result_of(uint32_t task)
{
    struct validation_row row;
    char *record = NULL;
    assert_true(ok(validations_read(store, "s", task, &row, &record, &why)));
    json_t *o = record[0] ? json_loads(record, 0, NULL) : NULL;
    free(record);
    return o;
}

static const char *status_of(const json_t *result, const char *site)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(result, "non_results"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "name")), site) == 0)
            return json_string_value(json_object_get(one, "status"));
    }
    return "figures";
}

static void decline(int site, enum decline kind, const char *reason)
{
    struct party *p = &party[site];
    compose(p, MESSAGE_TASK_DECLINED, "s", p->task_number);
    message.task_declined.kind = kind;
    strcpy(message.task_declined.reason, reason);
    post(p);
    settle();
}

static void one_run_through_crashes(void **state)
{
    (void)state;
    static const unsigned char id[SESSION_ID_BYTES] = {7};
    finish_study();
    struct study before = *stored();
    for (int i = 0; i < 3; i++) {
        insist(&party[RESEARCHER], "validate", ASK, id);
        assert_int_equal(party[RESEARCHER].reply.exit_code, 0);
        assert_int_equal(stored()->tasks, before.tasks + 1); /* one run, however often asked */
        crash();
    }
    assert_int_equal(stored()->phase, STUDY_VALIDATING);
    uint32_t task = stored()->task.task;
    assert_true(party[0].task.after_study);
    assert_memory_equal(party[0].task.model_hash, before.best, PLAN_HASH_BYTES);
    answer(0, 1);
    crash();
    decline(1, DECLINE_REFUSED, "the site's policy refuses");
    crash();
    answer(2, 1);
    assert_true(party[2].done.accepted);
    crash();
    assert_int_equal(stored()->phase, STUDY_FINISHED);
    assert_true(party[0].closed.study_finished && party[0].closed.own.counted);
    assert_memory_equal(party[0].closed.best_hash, before.best, PLAN_HASH_BYTES);
    json_t *result = result_of(task);
    assert_string_equal(status_of(result, "site0"), "figures");
    assert_string_equal(status_of(result, "site1"), "refused_by_policy");
    const json_t *summary = json_object_get(result, "summary");
    assert_int_equal(json_integer_value(json_object_get(summary, "used")), 2);
    assert_true(json_number_value(json_object_get(summary, "auroc")) == 0.75);
    json_decref(result);
    assert_int_equal(stored()->round, before.round);
    assert_memory_equal(stored()->best, before.best, PLAN_HASH_BYTES);
    insist(&party[RESEARCHER], "validate", ASK, id); /* the run that was */
    assert_int_equal(stored()->tasks, before.tasks + 1);
}

static void nobody_answers(void **state)
{
    (void)state;
    finish_study();
    command(&party[RESEARCHER], "validate", "{\"study\":\"s\",\"sites\":[\"site1\",\"site2\"]}");
    assert_int_equal(party[RESEARCHER].reply.exit_code, 0);
    uint32_t task = stored()->task.task;
    hello(&party[0], PROTOCOL_VERSION); /* alive, but not asked */
    assert_int_equal(stored()->task.sites[0].standing, STANDING_OUT);
    for (int i = 0; i < 200 && stored()->phase != STUDY_FINISHED; i++) {
        now_ms += 1000;
        settle();
    }
    assert_int_equal(stored()->phase, STUDY_FINISHED);
    json_t *result = result_of(task);
    assert_string_equal(status_of(result, "site0"), "not_asked");
    assert_string_equal(status_of(result, "site1"), "timeout");
    assert_true(json_is_null(json_object_get(json_object_get(result, "summary"), "auroc")));
    json_decref(result);
}

static void who_may_ask_and_when(void **state)
{
    (void)state;
    start_training();
    command(&party[RESEARCHER], "validate", ASK);
    assert_int_equal(party[RESEARCHER].reply.exit_code, 1);
    while (stored()->phase != STUDY_FINISHED)
        for (int i = 0; i < SITES; i++) {
            now_ms += 10;
            answer(i, (float)i);
        }
    command(&party[AUDITOR], "validate", ASK);
    assert_int_equal(party[AUDITOR].reply.exit_code, 1);
    command(&party[RESEARCHER], "validate", "{\"study\":\"s\",\"sites\":[\"nowhere\"]}");
    assert_int_equal(party[RESEARCHER].reply.exit_code, 2);
    command(&party[RESEARCHER], "validate", "{\"study\":\"s\",\"sites\":[]}");
    assert_int_equal(party[RESEARCHER].reply.exit_code, 2);
    command(&party[RESEARCHER], "validate", "{\"model\":\"0123456789\"}");
    assert_int_equal(party[RESEARCHER].reply.exit_code, 2);
    assert_int_equal(stored()->phase, STUDY_FINISHED);
    command(&party[RESEARCHER], "validate", ASK);
    command(&party[RESEARCHER], "validate", ASK); /* another one while the first is open */
    assert_int_equal(party[RESEARCHER].reply.exit_code, 1);
    command(&party[RESEARCHER], "stop", ASK);
    assert_int_equal(stored()->phase, STUDY_FINISHED); /* the run ended, the study stays finished */
    command(&party[RESEARCHER], "monitor", "{\"action\":\"start\",\"model\":\"s\"}");
    assert_int_equal(party[RESEARCHER].reply.exit_code, 1); /* it is in no stage that is watched */
    for (const char *const *verb = (const char *const[]){"validations", "monitors", "status", NULL};
         *verb; verb++) {
        command(&party[AUDITOR], *verb, "{}");
        assert_int_equal(party[AUDITOR].reply.exit_code, 0);
    }
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_run_through_crashes, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(who_may_ask_and_when, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
