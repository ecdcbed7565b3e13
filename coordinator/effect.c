/* SPDX-License-Identifier: Apache-2.0 */
/* The list of effects and the names of notes. */
#include "coordinator/effect.h"

#include "proto/message.h"

#include <assert.h>
#include <string.h>

static const char *const NOTE_NAMES[NOTE_LAST + 1] = {
    [NOTE_LAUNCHED] = "launched",
    [NOTE_ALLOWED] = "allowed",
    [NOTE_ASKING] = "asking",
    [NOTE_STUDY_REFUSED] = "study-refused",
    [NOTE_TASK_OPENED] = "task-opened",
    [NOTE_COUNTED] = "counted",
    [NOTE_REFUSED] = "refused",
    [NOTE_DECLINED] = "declined",
    [NOTE_MISSED] = "missed",
    [NOTE_RETURNED] = "returned",
    [NOTE_EXTENDED] = "extended",
    [NOTE_TASK_COMPLETED] = "task-completed",
    [NOTE_TASK_ABORTED] = "task-aborted",
    [NOTE_MODEL] = "model",
    [NOTE_POOLED] = "pooled",
    [NOTE_PAUSED] = "paused",
    [NOTE_RESUMED] = "resumed",
    [NOTE_STOPPED] = "stopped",
    [NOTE_FINISHED] = "finished",
    [NOTE_REVOKED] = "revoked",
    [NOTE_ASIDE] = "set-aside",
    [NOTE_QUARANTINED] = "quarantined",
    [NOTE_RELEASED] = "released",
};

const char *note_name(enum note note)
{
    return note >= NOTE_LAUNCHED && note <= NOTE_LAST ? NOTE_NAMES[note] : "unknown";
}

void reason_set(char *out, const char *text)
{
    size_t n = text ? strnlen(text, MESSAGE_REASON_BYTES - 1) : 0;
    if (n > 0)
        memmove(out, text, n);
    memset(out + n, 0, MESSAGE_REASON_BYTES - n);
}

static void append(struct effects *effects, struct effect effect)
{
    assert(effects->count < EFFECTS_MAX);
    effect.task = effects->task;
    effects->list[effects->count++] = effect;
}

void effect_add(struct effects *effects, enum effect_kind kind, uint32_t site)
{
    append(effects, (struct effect){.kind = kind, .site = site});
}

void effect_note(struct effects *effects, enum note note, uint32_t site)
{
    append(effects, (struct effect){.kind = EFFECT_NOTE, .note = note, .site = site});
}

void effect_store(struct effects *effects)
{
    if (effects->count > 0) {
        assert(effects->list[0].kind == EFFECT_STORE);
        return;
    }
    append(effects, (struct effect){.kind = EFFECT_STORE, .site = EFFECT_EVERYBODY});
}
