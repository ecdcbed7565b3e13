/* SPDX-License-Identifier: Apache-2.0 */
/* The time and size of what leaves say nothing of one patient; rows are locked and wiped. */
#include "agent/vault/locked.h"
#include "agent/vault/room.h"
#include "agent/vault/speak.h"
#include "proto/base/clock.h"
#include "tests/hospital.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#define PRIVATE                                                                                    \
    "training: {rounds: 3, steps: 2, learning_rate: 0.1}\n"                                        \
    "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1, metrics_noise: 20}\n"
#define ALLOW                                                                                      \
    "decision: allow\nepsilon_per_study: 2\nepsilon_per_year: 4\nepsilon_total: 8\n"               \
    "delta: 1.0e-5\nmin_patients: 50\nmetrics: noised-histogram\n"

enum { TASKS = 4, SLOT_MS = 300 };

static struct hospital h;

/* What an observer of the site sees of one study: when each answer came, and how long it was. */
struct seen {
    uint64_t slots[TASKS], late_ms[TASKS];
    size_t bytes[TASKS];
    double seconds[TASKS];
    uint64_t peak_kb[TASKS];
};

/* The patients' file without one patient. */
static void without(const char *patient)
{
    static char text[1 << 16];
    char path[128];
    snprintf(path, sizeof path, "%s/patients.csv", h.folder);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    f = fopen(path, "we");
    assert_non_null(f);
    int dropped = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        size_t n = strlen(patient);
        if (strncmp(line, patient, n) == 0 && line[n] == ',')
            dropped++;
        else
            fprintf(f, "%s\n", line);
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(dropped, *patient ? 1 : 0);
}

static void look(struct seen *seen, int i, uint64_t started_ms, struct vault_reply reply)
{
    uint64_t ms = clock_monotonic_ms() - started_ms;
    size_t n = 0;
    struct why why;
    seen->slots[i] = ms / SLOT_MS;
    seen->late_ms[i] = ms % SLOT_MS;
    seen->bytes[i] = reply.tail_n;
    unsigned char *plain = hospital_open_result(&h, &reply, &n);
    struct payload_update update = {0};
    if (i < 3) {
        assert_true(ok(payload_update_decode(&update, plain, n, &why)));
        seen->seconds[i] = update.seconds;
        seen->peak_kb[i] = update.peak_memory_kb;
    }
    payload_update_free(&update);
    free(plain);
}

/* Slots of SLOT_MS whatever this machine measures: 100 ms of work and 10 ms around it, doubled. */
static void fix_slots(void)
{
    struct room *room = h.vault.room;
    uint64_t declared = h.vault.mapping.declared_patients;
    room->measured = true;
    room->speed = (struct slot_speed){0};
    for (double ns = 0.0; slot_training_ms(&room->speed, &room->plan, declared) < SLOT_MS;
         ns += 1e6)
        room->speed.step_ns = ns;
    assert_int_equal(slot_training_ms(&room->speed, &room->plan, declared), SLOT_MS);
}

static void observe(const char *dropped, struct seen *seen)
{
    hospital_open(&h, PRIVATE, ALLOW);
    without(dropped);
    h.vault.on_time = true;
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(reply.message->study_answer.verdict, STUDY_ALLOWED);
    fix_slots();
    for (int i = 0; i < TASKS; i++) {
        enum task_kind kind = i < 3 ? TASK_TRAIN : TASK_EVALUATE;
        uint32_t round = i < 3 ? (uint32_t)i + 1 : 3;
        struct ipc_message task =
            hospital_task(&h, kind, (uint32_t)i + 1, round, 0.1f * (float)i, true);
        uint64_t started_ms = clock_monotonic_ms();
        look(seen, i, started_ms, hospital_ask(&h, task));
    }
    hospital_close(&h);
}

static void one_patient_does_not_show(void **state)
{
    (void)state;
    struct seen with = {{0}, {0}, {0}, {0}, {0}}, less = {{0}, {0}, {0}, {0}, {0}};
    observe("", &with);
    observe("p17", &less);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(with.bytes[i], less.bytes[i]);
        assert_memory_equal(&with.seconds[i], &less.seconds[i], sizeof(double));
        assert_int_equal(with.peak_kb[i], less.peak_kb[i]);
        assert_int_equal(with.peak_kb[i] % SPEAK_MEMORY_STEP_KB, 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(with.slots[i], less.slots[i]);
        assert_int_equal(with.slots[i], 1);
        /* At the slot's end, give or take the scheduler; the work itself takes no tenth of it. */
        assert_in_range(with.late_ms[i], 0, SLOT_MS / 2);
        assert_in_range(less.late_ms[i], 0, SLOT_MS / 2);
        assert_true(with.seconds[i] == SLOT_MS / 1000.0);
    }
}

static void slots_follow_public_constants(void **state)
{
    (void)state;
    hospital_open(&h, PRIVATE, ALLOW);
    struct slot_speed speed = {.step_ns = 1e6, .patient_ns = 1e5};
    uint64_t before = 0;
    for (uint64_t declared = 1; declared < 100000000; declared *= 10) {
        uint64_t ms = slot_training_ms(&speed, &h.plan, declared);
        assert_true(ms >= before && ms >= SLOT_LEAST_MS && ms <= SLOT_MOST_MS);
        assert_int_equal(ms % SLOT_STEP_MS, 0);
        assert_true(slot_evaluation_ms(&speed, &h.plan, declared, 2) >=
                    slot_evaluation_ms(&speed, &h.plan, declared, 1));
        assert_true(slot_loading_ms(&h.plan, declared) >= SLOT_LEAST_MS);
        before = ms;
    }
    /* 2 steps of 1 ms and 120 patients of 0.1 ms each: 26 ms, and 10 ms around them, doubled. */
    assert_in_range(slot_training_ms(&speed, &h.plan, 200), 70, 80);
    assert_int_equal(slot_count(100, 100, 20), 1);
    assert_int_equal(slot_count(100, 120, 20), 1);
    assert_int_equal(slot_count(100, 121, 20), 2);
    assert_int_equal(slot_count(100, 90, 20), 1);
    hospital_close(&h);
}

/* The measured slot is of the size of the work: rounds stay fast. */
static void measured_slots_are_short(void **state)
{
    (void)state;
    struct why why;
    struct slot_speed speed;
    hospital_open(&h, PRIVATE, ALLOW);
    if (!ok(slot_measure(&speed, &h.plan, 200, 10.0, &why)))
        fail_msg("%s", why.text);
    assert_true(speed.step_ns > 0.0 && speed.patient_ns >= 0.0);
    assert_true(slot_training_ms(&speed, &h.plan, 200) <= 200);
    hospital_close(&h);
}

static void waits_to_the_end_of_a_slot(void **state)
{
    (void)state;
    uint64_t started_ms = clock_monotonic_ms();
    assert_int_equal(slot_wait(started_ms, 50), 1);
    assert_true(clock_monotonic_ms() >= started_ms + 50);
    uint64_t count = slot_wait(started_ms, 50);
    assert_true(count >= 2);
    assert_true(clock_monotonic_ms() >= started_ms + 50 * count);
}

static void rows_are_locked_or_it_is_known(void **state)
{
    (void)state;
    struct rlimit limit;
    size_t before = locked_missed();
    unsigned char *p = locked_calloc(1000, 8);
    assert_non_null(p);
    assert_true(sodium_is_zero(p, 8000));
    memset(p, 7, 8000);
    locked_free(p);
    locked_free(NULL);
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    if (limit.rlim_cur > 65536)
        assert_int_equal(locked_missed(), before);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    p = locked_calloc(1000, 8);
    assert_non_null(p); /* no reason to fail */
    p[7999] = 1;
    locked_free(p);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    unsigned char probe[4096];
    if (mlock(probe, sizeof probe) == 0) /* else the process may lock whatever the limit */
        munlock(probe, sizeof probe);
    assert_true(locked_missed() == before || locked_missed() == before + 8000);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_follow_public_constants),
        cmocka_unit_test(measured_slots_are_short),
        cmocka_unit_test(waits_to_the_end_of_a_slot),
        cmocka_unit_test(one_patient_does_not_show),
        cmocka_unit_test(rows_are_locked_or_it_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
