/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of events and ledger records from hostile text: what parses must write back the same, and a
 * record is applied only when it is whole. */
#include "fuzz.h"

#include "privacy/budget.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = BUDGET_RECORD_MAX };

static void events(const char *text)
{
    static struct event_list list, again;
    static char first[2 * TEXT_MAX], second[2 * TEXT_MAX];
    char error[EVENT_ERROR_MAX];
    if (event_list_parse(&list, text, error) != 0)
        return;
    event_list_check(&list, error);
    if (event_list_text(&list, first, sizeof first) < 0)
        return;
    if (event_list_parse(&again, first, error) != 0 ||
        event_list_text(&again, second, sizeof second) < 0 || strcmp(first, second) != 0)
        abort();
}

/* Each line a record, applied to a ledger that starts empty. */
static void records(char *text)
{
    static struct budget budget;
    char error[BUDGET_TEXT_MAX];
    memset(&budget, 0, sizeof budget);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        uint64_t before = budget.records;
        int rc = budget_apply(&budget, line, error);
        if (budget.records != before + (rc == 0))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    events(text);
    records(text);
    free(text);
    return 0;
}
