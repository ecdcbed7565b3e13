/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile ledger file, and records with hostile bodies behind right hashes. Input: a byte; even:
 * the rest is the file; odd: the rest are records, each type (1 byte), length (2 bytes) and body.
 */
#include "agent/vault/ledger.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whatever was read obeys the ledger's own order. */
static void check(const struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->studies_count; i++) {
        const struct ledger_study *study = &ledger->studies[i];
        bool allowed =
            study->standing == LEDGER_STUDY_ALLOWED || study->standing == LEDGER_STUDY_FINISHED;
        if (!allowed && study->task.state != LEDGER_TASK_NONE)
            abort();
        if (strlen(study->name) >= sizeof study->name || study->local_n > LEDGER_LOCAL_MAX)
            abort();
    }
}

static void read_file(const uint8_t *data, size_t size)
{
    struct ledger ledger;
    struct why why;
    int fd = memfd_create("ledger", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (ok(ledger_look(&ledger, fd, "ledger", &why))) {
        check(&ledger);
        ledger_free(&ledger);
    }
    close(fd);
}

static void read_records(const uint8_t *data, size_t size)
{
    struct ledger ledger = {0};
    struct why why;
    uint64_t sequence = 0;
    size_t at = 0;
    while (size - at >= 3) {
        size_t n = data[at + 1] | (size_t)data[at + 2] << 8;
        struct journal_record record = {.type = data[at], .sequence = ++sequence, .time_ms = 5};
        at += 3;
        if (n > size - at)
            n = size - at;
        record.body = data + at;
        record.n = n;
        at += n;
        if (!ok(ledger_apply(&ledger, &record, &why)) && !why.text[0])
            abort();
    }
    check(&ledger);
    ledger_free(&ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        read_records(data + 1, size - 1);
    else
        read_file(data + 1, size - 1);
    return 0;
}
