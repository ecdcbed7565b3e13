/* SPDX-License-Identifier: Apache-2.0 */
/* The site's folder for the subcommands. */
#include "agent/cli/site.h"

#include "proto/base/cleanup.h"
#include "proto/envelope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct result open_book(struct site *site, struct why *why)
{
    site->epochs_fd = open(site->folder.epochs, O_RDONLY | O_CLOEXEC);
    if (site->epochs_fd < 0 && errno == ENOENT)
        return DONE;
    if (site->epochs_fd < 0)
        return failed(why, RESULT_SYSTEM, "%s: cannot read: %s", site->folder.epochs,
                      strerror(errno));
    return epoch_book_look(&site->book, site->epochs_fd, site->folder.epochs, why);
}

struct result site_open(struct site *site, const char *path, const char *data, struct why *why)
{
    site->ledger_fd = site->epochs_fd = -1;
    TRY(folder_at(&site->folder, path, data, why));
    if (!fs_exists(path))
        return failed(why, RESULT_INPUT, "%s: there is no such folder", path);
    TRY(folder_policy(&site->folder, &site->policy, why));
    TRY(open_book(site, why));
    site->ledger_fd = open(site->folder.ledger, O_RDONLY | O_CLOEXEC);
    if (site->ledger_fd < 0 && errno == ENOENT)
        return DONE;
    if (site->ledger_fd < 0)
        return failed(why, RESULT_SYSTEM, "%s: cannot read: %s", site->folder.ledger,
                      strerror(errno));
    return ledger_look(&site->ledger, site->ledger_fd, site->folder.ledger, why);
}

void site_close(struct site *site)
{
    if (site->ledger_fd >= 0)
        close(site->ledger_fd);
    if (site->epochs_fd >= 0)
        close(site->epochs_fd);
    epoch_book_free(&site->book);
    ledger_free(&site->ledger);
    policy_free(&site->policy);
}

struct result site_study(struct site *site, const char *name, struct ledger_study **ret_study,
                         struct why *why)
{
    char names[256] = "";
    *ret_study = ledger_find(&site->ledger, name);
    if (*ret_study)
        return DONE;
    for (size_t i = 0; i < site->ledger.studies_count; i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", site->ledger.studies[i].name);
    }
    return failed(why, RESULT_INPUT, "no study '%s' was offered to this site; %s%s", name,
                  names[0] ? "there are: " : "none was yet", names);
}

struct result site_plan(const struct site *site, const struct ledger_study *study,
                        struct plan *plan, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *launch = NULL;
    CLEANUP(free_pointer) struct message *message = malloc(sizeof *message);
    if (!message)
        return failed(why, RESULT_SYSTEM, "no memory for the plan");
    TRY(ledger_launch(&site->ledger, study, &launch, why));
    TRY(envelope_open(launch, study->launch_n, study->researcher_key, message, why));
    if (message->kind != MESSAGE_COMMAND)
        return failed(why, RESULT_REFUSED, "the ledger holds no launch of the study");
    return plan_parse(plan, "plan", (const char *)message->command.text, message->command.text_n,
                      why);
}

void site_print_epochs(const struct site *site, const char *label)
{
    char begun[24];
    for (size_t i = 0; i < site->book.epochs_count; i++) {
        const struct epoch *e = &site->book.epochs[i];
        if (strcmp(e->line, label) != 0)
            continue;
        site_time(e->begun_ms, begun);
        printf("  holdout epoch %u of %s, since %s: %zu patients; %llu models judged in %u tasks",
               e->number, label, begun, e->n, (unsigned long long)e->models, e->tasks);
        if (site->policy.queries_per_epoch > 0)
            printf(" of %u allowed", site->policy.queries_per_epoch);
        putchar('\n');
    }
}

json_t *site_epochs_json(const struct site *site, const char *label)
{
    json_t *out = json_array();
    for (size_t i = 0; i < site->book.epochs_count; i++) {
        const struct epoch *e = &site->book.epochs[i];
        if (strcmp(e->line, label) == 0)
            json_array_append_new(out,
                                  json_pack("{s:s, s:i, s:I, s:I, s:I, s:i, s:i}", "label", e->line,
                                            "number", (int)e->number, "since_ms",
                                            (json_int_t)e->begun_ms, "patients", (json_int_t)e->n,
                                            "models", (json_int_t)e->models, "tasks", (int)e->tasks,
                                            "allowed", (int)site->policy.queries_per_epoch));
    }
    return out;
}

void site_time(uint64_t time_ms, char out[24])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    strftime(out, 24, "%Y-%m-%d %H:%MZ", gmtime_r(&seconds, &tm));
}
