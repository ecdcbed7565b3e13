/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: a crash at every byte of every write, alteration of every byte, a second vault, and
 * the order in which studies and tasks may go. */
#include "agent/vault/ledger.h"
#include "agent/vault/outbox.h"
#include "proto/transfer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const unsigned char HASH[PLAN_HASH_BYTES] = {1, 2, 3};
static const unsigned char OTHER[PLAN_HASH_BYTES] = {4, 5, 6};
static const unsigned char KEY[32] = {9};
static struct why why;

static int new_file(void)
{
    int fd = memfd_create("ledger", MFD_CLOEXEC); /* thousands of syncs */
    assert_true(fd >= 0);
    return fd;
}

static off_t size_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_size;
}

/* A study through all its records. Returns the number of records. */
static unsigned write_story(struct ledger *ledger)
{
    const struct ledger_charge charge = {.epsilon = 1.0,
                                         .delta = 1e-5,
                                         .noise_multiplier = 16.5,
                                         .events = "g:1:16.5:20"};
    const struct message_task order = {.kind = TASK_TRAIN, .round = 1};
    const struct ledger_release release = {.kind = OBJECT_UPDATE,
                                           .outbox_offset = 5,
                                           .offer = {.kind = OBJECT_UPDATE, .plain_bytes = 77}};
    assert_true(ok(ledger_offered(ledger, 1, "stroke", "anna", KEY, HASH,
                                  (const unsigned char *)"launch", 6, &why)));
    assert_true(ok(ledger_verdict(ledger, 2, "stroke", LEDGER_STUDY_ASKING, "asked", NULL, &why)));
    assert_true(
        ok(ledger_verdict(ledger, 3, "stroke", LEDGER_STUDY_ALLOWED, "yes", &charge, &why)));
    assert_true(ok(ledger_begun(ledger, 4, "stroke", 1, &order, false, &why)));
    assert_true(
        ok(ledger_done(ledger, 5, "stroke", 1, &release, (const unsigned char *)"own", 3, &why)));
    assert_true(ok(ledger_settled(ledger, 6, "stroke", 1, true, "", &why)));
    assert_true(ok(ledger_closed(ledger, 7, "stroke", 1, true, &why)));
    return 7;
}

static void test_reopen(void **state)
{
    (void)state;
    struct ledger ledger;
    int fd = new_file();
    assert_true(ok(ledger_open(&ledger, fd, "ledger", &why)));
    write_story(&ledger);
    ledger_free(&ledger);
    assert_true(ok(ledger_look(&ledger, fd, "ledger", &why)));
    const struct ledger_study *study = ledger_find(&ledger, "stroke");
    assert_non_null(study);
    assert_int_equal(study->standing, LEDGER_STUDY_FINISHED);
    assert_string_equal(study->researcher, "anna");
    assert_memory_equal(study->researcher_key, KEY, 32);
    assert_true(study->charge.epsilon == 1.0);
    assert_string_equal(study->charge.events, "g:1:16.5:20");
    assert_int_equal(study->trained, 1);
    assert_int_equal(study->task.state, LEDGER_TASK_DONE);
    assert_true(study->task.settled);
    assert_int_equal(study->task.release.offer.plain_bytes, 77);
    unsigned char *launch = NULL;
    assert_true(ok(ledger_launch(&ledger, study, &launch, &why)));
    assert_memory_equal(launch, "launch", 6);
    free(launch);
    char own[3];
    assert_int_equal(study->local_n, 3);
    assert_true(ok(ledger_local(&ledger, study, own, &why)));
    assert_memory_equal(own, "own", 3);
    ledger_free(&ledger);
    close(fd);
}

/* The file cut at every byte: what is left is always a prefix of the story, opens, and goes on. */
static void test_torn_at_every_byte(void **state)
{
    (void)state;
    struct ledger ledger;
    int whole = new_file();
    assert_true(ok(ledger_open(&ledger, whole, "ledger", &why)));
    uint64_t ends[16] = {0};
    const struct message_task order = {.kind = TASK_TRAIN, .round = 1};
    unsigned records = write_story(&ledger);
    (void)order;
    size_t n = (size_t)size_of(whole);
    unsigned char *bytes = malloc(n);
    assert_int_equal(pread(whole, bytes, n, 0), n);
    ledger_free(&ledger);
    for (size_t cut = 0; cut <= n; cut++) {
        int fd = new_file();
        assert_int_equal(pwrite(fd, bytes, cut, 0), cut);
        assert_true(ok(ledger_open(&ledger, fd, "ledger", &why)));
        uint64_t sequence = ledger.journal.sequence;
        assert_true(sequence <= records);
        assert_int_equal(size_of(fd), ledger.journal.end);
        if (cut < n)
            assert_true(sequence < records);
        if (sequence > 0 && ends[sequence] == 0)
            ends[sequence] = ledger.journal.end;
        /* It goes on from there. */
        assert_true(ok(ledger_offered(&ledger, 9, "next", "ben", KEY, OTHER,
                                      (const unsigned char *)"x", 1, &why)));
        ledger_free(&ledger);
        assert_true(ok(ledger_look(&ledger, fd, "ledger", &why)));
        assert_non_null(ledger_find(&ledger, "next"));
        assert_int_equal(ledger.journal.sequence, sequence + 1);
        ledger_free(&ledger);
        close(fd);
    }
    free(bytes);
    close(whole);
}

/* Any byte altered before the last record is found out; nothing is ever read wrong. */
static void test_altered(void **state)
{
    (void)state;
    struct ledger ledger;
    int fd = new_file();
    assert_true(ok(ledger_open(&ledger, fd, "ledger", &why)));
    write_story(&ledger);
    size_t n = (size_t)size_of(fd);
    ledger_free(&ledger);
    unsigned found = 0;
    for (size_t at = 0; at < n; at++) {
        unsigned char byte, changed;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        changed = byte ^ 0x20;
        assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
        struct result r = ledger_look(&ledger, fd, "ledger", &why);
        if (ok(r)) {
            /* Only what looks like a torn end may be passed over, and then it is gone whole. */
            assert_true(ledger.journal.cut > 0);
            ledger_free(&ledger);
        } else {
            assert_int_equal(r.code, RESULT_REFUSED);
            found++;
        }
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
    assert_true(found > n / 2);
    assert_true(ok(ledger_look(&ledger, fd, "ledger", &why)));
    ledger_free(&ledger);
    close(fd);
}

static void test_second_vault(void **state)
{
    (void)state;
    char path[] = "/tmp/consilium-ledger-XXXXXX";
    struct ledger first, second;
    int a = mkstemp(path), b = open(path, O_RDWR);
    assert_true(a >= 0 && b >= 0);
    unlink(path);
    assert_true(ok(ledger_open(&first, a, "ledger", &why)));
    assert_int_equal(ledger_open(&second, b, "ledger", &why).code, RESULT_AGAIN);
    assert_true(ok(ledger_look(&second, b, "ledger", &why))); /* looking needs no lock */
    ledger_free(&second);
    close(a);
    assert_true(ok(ledger_open(&second, b, "ledger", &why)));
    ledger_free(&first);
    ledger_free(&second);
    close(b);
}

/* A refused record leaves file and state as they were. */
static void test_order(void **state)
{
    (void)state;
    struct ledger ledger;
    int fd = new_file();
    const struct message_task train = {.kind = TASK_TRAIN, .round = 1};
    const struct ledger_charge charge = {.epsilon = 1.0};
    const struct ledger_release release = {.offer = {.kind = OBJECT_UPDATE, .plain_bytes = 1}};
    assert_true(ok(ledger_open(&ledger, fd, "ledger", &why)));
    assert_false(ok(ledger_verdict(&ledger, 1, "s", LEDGER_STUDY_ALLOWED, "", &charge, &why)));
    assert_false(ok(ledger_begun(&ledger, 1, "s", 1, &train, false, &why)));
    assert_true(ok(ledger_offered(&ledger, 1, "s", "anna", KEY, HASH, KEY, 1, &why)));
    assert_true(ok(ledger_offered(&ledger, 1, "s", "anna", KEY, HASH, KEY, 1, &why)));
    assert_int_equal(ledger.journal.sequence, 1); /* the same offer again writes nothing */
    assert_false(ok(ledger_offered(&ledger, 1, "s", "anna", KEY, OTHER, KEY, 1, &why)));
    assert_false(ok(ledger_begun(&ledger, 1, "s", 1, &train, false, &why))); /* not allowed yet */
    assert_true(ok(ledger_verdict(&ledger, 1, "s", LEDGER_STUDY_REFUSED, "no", NULL, &why)));
    assert_true(ok(ledger_verdict(&ledger, 1, "s", LEDGER_STUDY_ALLOWED, "", &charge, &why)));
    /* Charged once: allowed again, refused, asked are all too late. */
    assert_false(ok(ledger_verdict(&ledger, 1, "s", LEDGER_STUDY_ALLOWED, "", &charge, &why)));
    assert_false(ok(ledger_verdict(&ledger, 1, "s", LEDGER_STUDY_REFUSED, "", NULL, &why)));
    assert_false(ok(ledger_done(&ledger, 1, "s", 1, &release, NULL, 0, &why)));
    assert_true(ok(ledger_begun(&ledger, 1, "s", 5, &train, false, &why)));
    assert_true(ok(ledger_begun(&ledger, 1, "s", 5, &train, false, &why))); /* after a crash */
    assert_int_equal(ledger_find(&ledger, "s")->trained, 0);
    assert_int_equal(ledger_find(&ledger, "s")->task.attempts, 2);
    assert_false(ok(ledger_done(&ledger, 1, "s", 4, &release, NULL, 0, &why)));
    assert_true(ok(ledger_done(&ledger, 1, "s", 5, &release, NULL, 0, &why)));
    assert_false(ok(ledger_done(&ledger, 1, "s", 5, &release, NULL, 0, &why)));
    assert_false(ok(ledger_begun(&ledger, 1, "s", 5, &train, false, &why)));
    assert_false(ok(ledger_begun(&ledger, 1, "s", 4, &train, false, &why)));
    assert_int_equal(ledger_find(&ledger, "s")->trained, 1);
    assert_true(ok(ledger_begun(&ledger, 1, "s", 6, &train, true, &why)));
    assert_true(ok(ledger_done(&ledger, 1, "s", 6, &release, NULL, 0, &why)));
    assert_int_equal(ledger_find(&ledger, "s")->trained, 1); /* a reuse counts as nothing new */
    assert_true(ok(ledger_closed(&ledger, 1, "s", 6, true, &why)));
    assert_false(ok(ledger_begun(&ledger, 1, "s", 7, &train, false, &why)));
    uint64_t sequence = ledger.journal.sequence;
    ledger_free(&ledger);
    assert_true(ok(ledger_look(&ledger, fd, "ledger", &why)));
    assert_int_equal(ledger.journal.sequence, sequence);
    assert_int_equal(ledger_find(&ledger, "s")->standing, LEDGER_STUDY_FINISHED);
    ledger_free(&ledger);
    close(fd);
}

static void put_result(struct ledger *ledger, int fd, const char *study, uint32_t task, size_t n,
                       unsigned char fill)
{
    struct ledger_release release = {.kind = OBJECT_UPDATE};
    size_t cipher_n = (size_t)transfer_cipher_bytes(n);
    unsigned char *cipher = malloc(cipher_n);
    const struct message_task order = {.kind = TASK_TRAIN, .round = task};
    memset(cipher, fill, cipher_n);
    assert_true(ok(ledger_begun(ledger, 1, study, task, &order, false, &why)));
    release.offer.kind = OBJECT_UPDATE;
    release.offer.plain_bytes = n;
    crypto_generichash(release.offer.cipher_hash, PLAN_HASH_BYTES, cipher, cipher_n, NULL, 0);
    assert_true(ok(outbox_keep(fd, ledger, study, cipher, cipher_n, &release.outbox_offset, &why)));
    assert_true(ok(ledger_done(ledger, 1, study, task, &release, NULL, 0, &why)));
    free(cipher);
}

/* Several studies share the outbox; a study's next result may take its earlier one's place only. */
static void test_outbox(void **state)
{
    (void)state;
    struct ledger ledger;
    int fd = new_file(), box = new_file();
    const char *const names[] = {"a", "b", "c"};
    const struct ledger_charge charge = {.epsilon = 1.0};
    assert_true(ok(ledger_open(&ledger, fd, "ledger", &why)));
    for (size_t i = 0; i < 3; i++) {
        assert_true(ok(ledger_offered(&ledger, 1, names[i], "anna", KEY, HASH, KEY, 1, &why)));
        assert_true(
            ok(ledger_verdict(&ledger, 1, names[i], LEDGER_STUDY_ALLOWED, "", &charge, &why)));
    }
    for (uint32_t task = 1; task <= 20; task++) {
        size_t n = (task * 7919) % 5000 + 1;
        put_result(&ledger, box, names[task % 3], task, n, (unsigned char)task);
        for (size_t i = 0; i < 3; i++) {
            const struct ledger_study *study = ledger_find(&ledger, names[i]);
            if (study->task.state != LEDGER_TASK_DONE)
                continue;
            unsigned char *bytes = NULL;
            size_t got = 0;
            assert_true(ok(outbox_get(box, &study->task.release, &bytes, &got, &why)));
            assert_int_equal(bytes[0], study->task.task);
            free(bytes);
        }
    }
    assert_true(size_of(box) < 20000); /* places are used again */
    struct ledger_release gone = ledger_find(&ledger, "a")->task.release;
    gone.offer.cipher_hash[0] ^= 1;
    unsigned char *bytes = NULL;
    size_t got = 0;
    assert_int_equal(outbox_get(box, &gone, &bytes, &got, &why).code, RESULT_REFUSED);
    ledger_free(&ledger);
    close(fd);
    close(box);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reopen),  cmocka_unit_test(test_torn_at_every_byte),
        cmocka_unit_test(test_altered), cmocka_unit_test(test_second_vault),
        cmocka_unit_test(test_order),   cmocka_unit_test(test_outbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
