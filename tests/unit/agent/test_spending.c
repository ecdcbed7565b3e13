/* SPDX-License-Identifier: Apache-2.0 */
/* Budget in the running vault: nothing released that is not recorded, whenever it is killed; two
 * studies for the last budget; a refusal that says what would fit and reads no patient. */
#include "tests/hospital.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PRIVATE                                                                                    \
    "training: {rounds: 40, steps: 2, learning_rate: 0.1}\n"                                       \
    "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1}\n"
#define ALLOW                                                                                      \
    "decision: allow\nepsilon_per_study: 2\nepsilon_per_year: 4\nepsilon_total: 8\n"               \
    "delta: 1.0e-5\nmin_patients: 50\n"

static struct hospital h;

static const struct message_study_answer *offer(void)
{
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(reply.type, IPC_SIGNED);
    return &reply.message->study_answer;
}

/* ---- killed at any point ---- */

/* Offers the study and trains round after round; tells of each result that was handed over. Runs in
 * a process of its own until it is killed. */
static void serve_until_killed(int told_fd)
{
    hospital_start(&h);
    offer();
    const struct ledger_study *study = ledger_find(&h.vault.ledger, "falls");
    for (uint32_t round = study->trained + 1; round <= 40; round++) {
        struct ipc_message task =
            hospital_task(&h, TASK_TRAIN, study->task.task + 1, round, 0.0f, true);
        struct vault_reply reply = hospital_ask(&h, task);
        if (reply.type == IPC_RESULT && write(told_fd, &round, sizeof round) != sizeof round)
            _exit(1);
        free(reply.tail);
    }
    _exit(0);
}

static uint32_t read_told(int fd, uint32_t highest)
{
    uint32_t round;
    while (read(fd, &round, sizeof round) == sizeof round)
        highest = round > highest ? round : highest;
    return highest;
}

/* SIGKILL after a random while, again and again: whatever was handed over is recorded as released
 * and its study charged, and the record can be read. */
static void killed_at_any_point(void **state)
{
    (void)state;
    uint32_t told = 0, span_us = 20000;
    hospital_open(&h, PRIVATE, ALLOW);
    hospital_crash(&h);
    for (int i = 0; i < 80 && told < 40; i++) {
        int pipe_fd[2];
        assert_int_equal(pipe(pipe_fd), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            serve_until_killed(pipe_fd[1]);
        close(pipe_fd[1]);
        const struct timespec pause = {.tv_nsec =
                                           (long)(randombytes_uniform(span_us) + 100) * 1000L};
        uint32_t before = told;
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        told = read_told(pipe_fd[0], told);
        /* A busy machine needs longer to get anywhere. */
        if (told == before && span_us < 600000)
            span_us += span_us / 4;
        close(pipe_fd[0]);
        hospital_start(&h);
        const struct ledger_study *study = ledger_find(&h.vault.ledger, "falls");
        if (told > 0) {
            assert_non_null(study);
            assert_int_equal(study->standing, LEDGER_STUDY_ALLOWED);
            assert_true(study->charge.epsilon > 0.9 && study->charge.events[0] != '\0');
            assert_true(study->trained >= told);
        }
        /* One result may be recorded that never left: budget wasted, not overspent. */
        if (study)
            assert_true(study->trained <= told + 1);
        told = study && study->trained > told ? study->trained : told;
        hospital_crash(&h);
    }
    assert_true(told > 0);
    hospital_close(&h);
}

/* ---- the last budget ---- */

static void two_studies_cannot_both_take_the_last(void **state)
{
    (void)state;
    hospital_open(&h, PRIVATE,
                  "decision: allow\nepsilon_per_study: 2\nepsilon_per_year: 1.3\n"
                  "epsilon_total: 1.3\ndelta: 1.0e-5\nmin_patients: 50\n");
    assert_int_equal(offer()->verdict, STUDY_ALLOWED);
    hospital_rename(&h, "trips");
    const struct message_study_answer *second = offer();
    assert_int_equal(second->verdict, STUDY_REFUSED);
    /* What is left, and what would fit. */
    double multiplier = 0.0;
    const char *fit = strstr(second->reason, "at noise multiplier ");
    if (!fit || sscanf(fit, "at noise multiplier %lf this plan would fit", &multiplier) != 1 ||
        !strstr(second->reason, "left"))
        fail_msg("'%s'", second->reason);
    assert_true(multiplier > 0.0);
    /* The site's vault alone decides: a second one does not even open the ledger. */
    struct ledger other;
    struct why why;
    char path[128];
    snprintf(path, sizeof path, "%s/ledger", h.folder);
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    assert_int_equal(ledger_open(&other, fileno(f), "ledger", &why).code, RESULT_AGAIN);
    fclose(f);

    /* The plan with that noise does fit. */
    char lines[256];
    char *section = strstr(h.plan_text, "training:");
    assert_non_null(section);
    snprintf(
        lines, sizeof lines,
        "training: {rounds: 40, steps: 2, learning_rate: 0.1}\n"
        "privacy: {mode: patient, epsilon: 1, noise_multiplier: %g, delta: 1.0e-5, clip_norm: 1}\n",
        multiplier * 1.001);
    strcpy(section, lines);
    hospital_rename(&h, "steps");
    const struct message_study_answer *third = offer();
    if (third->verdict != STUDY_ALLOWED)
        fail_msg("%s", third->reason);
    hospital_close(&h);
}

/* A plan that costs more than the policy allows one study is told the noise that would fit. */
static void refusal_by_policy_says_what_fits(void **state)
{
    (void)state;
    static const char *const POLICY =
        "decision: allow\nepsilon_per_study: 0.5\nepsilon_per_year: 2\nepsilon_total: 8\n"
        "delta: 1.0e-5\nmin_patients: 50\n";
    char lines[256];
    double multiplier = 0.0;
    hospital_open(&h, PRIVATE, POLICY);
    const struct message_study_answer *answer = offer();
    assert_int_equal(answer->verdict, STUDY_REFUSED);
    const char *fit = strstr(answer->reason, "at noise multiplier ");
    if (!fit || sscanf(fit, "at noise multiplier %lf this plan would fit", &multiplier) != 1)
        fail_msg("'%s'", answer->reason);
    hospital_close(&h);
    for (int i = 0; i < 2; i++) { /* it fits, and a tenth less does not */
        snprintf(lines, sizeof lines,
                 "training: {rounds: 40, steps: 2, learning_rate: 0.1}\n"
                 "privacy: {mode: patient, epsilon: 1, noise_multiplier: %g, delta: 1.0e-5, "
                 "clip_norm: 1}\n",
                 i == 0 ? multiplier : 0.9 * multiplier);
        hospital_open(&h, lines, POLICY);
        assert_int_equal(offer()->verdict, i == 0 ? STUDY_ALLOWED : STUDY_REFUSED);
        hospital_close(&h);
    }
}

/* ---- a ledger set back ---- */

/* As the coordinator does: the longest that the site told is told back. */
static void hear(const struct message_head *head)
{
    assert_true(head->ledger_records > h.told_records);
    h.told_records = head->ledger_records;
    memcpy(h.told_head, head->ledger_head, sizeof h.told_head);
}

static uint64_t train(uint32_t number)
{
    struct vault_reply reply =
        hospital_ask(&h, hospital_task(&h, TASK_TRAIN, number, number, 0.0f, true));
    assert_int_equal(reply.type, IPC_RESULT);
    free(reply.tail);
    hear(&reply.message->head);
    return h.vault.ledger.journal.end;
}

/* Restores the first n bytes of the ledger from an old copy while the vault is down. */
static void set_back(uint64_t n)
{
    char path[128];
    hospital_crash(&h);
    snprintf(path, sizeof path, "%s/ledger", h.folder);
    assert_int_equal(truncate(path, (off_t)n), 0);
    hospital_start(&h);
}

static void expect_stopped(uint32_t task, uint32_t round)
{
    struct vault_reply reply =
        hospital_ask(&h, hospital_task(&h, TASK_TRAIN, task, round, 0.0f, true));
    assert_int_equal(reply.type, IPC_SIGNED);
    assert_int_equal(reply.message->kind, MESSAGE_TASK_DECLINED);
    if (!strstr(reply.message->task_declined.reason, "set back"))
        fail_msg("%s", reply.message->task_declined.reason);
}

static void ledger_set_back_stops_the_site(void **state)
{
    (void)state;
    hospital_open(&h, PRIVATE, ALLOW);
    assert_int_equal(offer()->verdict, STUDY_ALLOWED);
    hear(&h.vault.scratch[0]->head);
    uint64_t after_charge = h.vault.ledger.journal.end;
    uint64_t after_first = train(1);
    train(2);
    /* A restart with the whole ledger changes nothing. */
    hospital_crash(&h);
    hospital_start(&h);
    train(3);
    /* Cut at a record's end: a chain that holds, and is too short. */
    set_back(after_first);
    expect_stopped(2, 2);
    /* Grown again to another content of at least the old length. */
    struct why why;
    for (uint32_t task = 5; h.vault.ledger.journal.sequence < h.told_records + 2; task++) {
        const struct message_task order = {.kind = TASK_TRAIN, .round = 2};
        assert_true(ok(ledger_begun(&h.vault.ledger, 1, "falls", task, &order, false, &why)));
    }
    expect_stopped(90, 2);
    /* Nor is another study charged on it: its answer tells why. */
    set_back(after_charge);
    hospital_rename(&h, "trips");
    const struct message_study_answer *answer = offer();
    assert_int_equal(answer->verdict, STUDY_REFUSED);
    assert_non_null(strstr(answer->reason, "set back"));
    assert_memory_equal(answer->plan_hash, h.plan.hash, PLAN_HASH_BYTES); /* else nobody hears it */
    hospital_close(&h);
}

/* ---- nothing is read for a plan over budget ---- */

static bool touched(int watch)
{
    char events[4096];
    return read(watch, events, sizeof events) > 0;
}

static void over_budget_reads_no_patient(void **state)
{
    (void)state;
    const struct {
        const char *policy;
        bool reads;
    } cases[] = {
        {"decision: allow\nepsilon_per_study: 2\nepsilon_per_year: 0.9\nmin_patients: 50\n", false},
        {"decision: allow\nepsilon_per_study: 0.5\nmin_patients: 50\n", false},
        {ALLOW, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[128];
        hospital_open(&h, PRIVATE, cases[i].policy);
        snprintf(path, sizeof path, "%s/patients.csv", h.folder);
        int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        assert_true(watch >= 0);
        assert_true(inotify_add_watch(watch, path, IN_ACCESS | IN_OPEN) >= 0);
        assert_int_equal(offer()->verdict, cases[i].reads ? STUDY_ALLOWED : STUDY_REFUSED);
        assert_int_equal(touched(watch), cases[i].reads);
        close(watch);
        hospital_close(&h);
    }
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_point),
        cmocka_unit_test(two_studies_cannot_both_take_the_last),
        cmocka_unit_test(refusal_by_policy_says_what_fits),
        cmocka_unit_test(ledger_set_back_stops_the_site),
        cmocka_unit_test(over_budget_reads_no_patient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
