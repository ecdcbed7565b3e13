/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a study's plan and patients, one study at a time. */
#include "agent/vault/room.h"

#include "agent/vault/locked.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct result room_launch(struct vault *vault, const char *study,
                          const unsigned char researcher_key[32], const unsigned char *launch,
                          size_t launch_n, struct plan *plan, char *researcher, struct why *why)
{
    struct message *message = vault->scratch[1];
    TRY(envelope_open(launch, launch_n, researcher_key, message, why));
    memcpy(researcher, message->head.sender, sizeof message->head.sender);
    if (message->kind != MESSAGE_COMMAND || strcmp(message->command.verb, "launch") != 0 ||
        strcmp(message->head.consortium, vault->keys.consortium) != 0)
        return failed(why, RESULT_REFUSED, "the study comes without a researcher's launch");
    TRY(plan_parse(plan, "plan", (const char *)message->command.text, message->command.text_n,
                   why));
    if (strcmp(plan->study, study) != 0) {
        plan_free(plan);
        return failed(why, RESULT_REFUSED, "the study is offered under another name than its plan");
    }
    return DONE;
}

void room_leave(struct vault *vault)
{
    if (!vault->room)
        return;
    trainer_free(vault->room->trainer);
    struct feedback *feedback = &vault->room->feedback;
    if (feedback->residual)
        sodium_memzero(feedback->residual, feedback->d * sizeof *feedback->residual);
    feedback_free(feedback);
    dataset_free(&vault->room->data);
    plan_free(&vault->room->plan);
    free(vault->room);
    vault->room = NULL;
}

struct result room_enter(struct vault *vault, const char *study, struct plan *plan, struct why *why)
{
    if (vault->room && memcmp(vault->room->plan.hash, plan->hash, PLAN_HASH_BYTES) == 0) {
        plan_free(plan);
        return DONE;
    }
    room_leave(vault);
    struct room *room = calloc(1, sizeof *room);
    if (!room) {
        plan_free(plan);
        return failed(why, RESULT_SYSTEM, "no memory for a study");
    }
    snprintf(room->study, sizeof room->study, "%s", study);
    room->plan = *plan;
    policy_apply(&vault->policy, &room->plan);
    *plan = (struct plan){0};
    vault->room = room;
    return DONE;
}

struct result room_enter_known(struct vault *vault, const struct ledger_study *study,
                               struct why *why)
{
    if (vault->room && memcmp(vault->room->plan.hash, study->plan_hash, PLAN_HASH_BYTES) == 0)
        return DONE;
    CLEANUP(free_pointer) unsigned char *launch = NULL;
    struct plan plan;
    char researcher[PLAN_NAME_BYTES];
    TRY(ledger_launch(&vault->ledger, study, &launch, why));
    TRY(room_launch(vault, study->name, study->researcher_key, launch, study->launch_n, &plan,
                    researcher, why));
    return room_enter(vault, study->name, &plan, why);
}

void room_refresh(struct vault *vault)
{
    struct room *room = vault->room;
    struct stat now;
    if (!room->loaded || fstat(vault->data_fd, &now) < 0 ||
        (now.st_size == room->file.st_size && now.st_mtim.tv_sec == room->file.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == room->file.st_mtim.tv_nsec))
        return;
    log_info("%s: %s has changed since it was read: it is read again", room->study,
             vault->data_name);
    room_forget(vault);
}

void room_forget(struct vault *vault)
{
    struct room *room = vault->room;
    trainer_free(room->trainer);
    room->trainer = NULL;
    dataset_free(&room->data);
    room->loaded = false;
}

bool room_on_time(const struct vault *vault)
{
    return vault->on_time && vault->room->plan.privacy.mode == PRIVACY_PATIENT;
}

struct result room_measure(struct vault *vault, double noise, struct why *why)
{
    struct room *room = vault->room;
    uint64_t declared = vault->mapping.declared_patients;
    if (room->measured || !room_on_time(vault))
        return DONE;
    TRY(slot_measure(&room->speed, &room->plan, declared, noise, why));
    room->measured = true;
    log_info("%s: a round of training leaves every %" PRIu64
             " ms, figures of a model every %" PRIu64 " ms",
             room->study, slot_training_ms(&room->speed, &room->plan, declared),
             slot_evaluation_ms(&room->speed, &room->plan, declared, 1));
    return DONE;
}

static struct result load(struct vault *vault, struct why *why)
{
    struct room *room = vault->room;
    if (!vault->data_present)
        return failed(why, RESULT_INPUT, "the site has no mapping.yaml or no data file");
    int fd = dup(vault->data_fd);
    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        if (fd >= 0)
            close(fd);
        return failed(why, RESULT_SYSTEM, "%s: cannot read: %s", vault->data_name, strerror(errno));
    }
    if (fstat(fd, &room->file) < 0)
        memset(&room->file, 0, sizeof room->file);
    CLEANUP(close_file) FILE *file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return failed(why, RESULT_SYSTEM, "%s: cannot read: %s", vault->data_name, strerror(errno));
    }
    TRY(dataset_load(&room->data, &room->plan, &vault->mapping, vault->data_name, file,
                     vault->holdout_key, why));
    char remark[DATASET_REMARKS][DATASET_REMARK_BYTES];
    size_t remarks = dataset_remarks(&room->data, &room->plan, remark);
    for (size_t i = 0; i < remarks; i++)
        log_warning("%s: %s", vault->data_name, remark[i]);
    room->loaded = true;
    return DONE;
}

struct result room_load(struct vault *vault, struct why *why)
{
    struct room *room = vault->room;
    uint64_t started_ms = clock_monotonic_ms();
    if (room->loaded)
        return DONE;
    struct result r = load(vault, why);
    if (locked_missed() > 0)
        log_warning("%zu kB of patients' rows could not be locked: they may reach the swap; raise "
                    "the limit on locked memory (RLIMIT_MEMLOCK)",
                    (locked_missed() + 1023) / 1024);
    if (room_on_time(vault))
        slot_wait(started_ms, slot_loading_ms(&room->plan, vault->mapping.declared_patients));
    return r;
}

unsigned room_min_cell(const struct vault *vault)
{
    unsigned plan = vault->room->plan.validation.min_cell;
    return plan > vault->policy.min_cell ? plan : vault->policy.min_cell;
}
