/* SPDX-License-Identifier: Apache-2.0 */
/* Releases as lines of JSON. */
#include "agent/vault/record.h"

#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/json.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static json_t *start(const char *kind, const char *study, uint32_t task)
{
    char text[32];
    time_t seconds = (time_t)(clock_unix_ms() / 1000);
    struct tm tm;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    json_t *line = json_pack("{s:s, s:s, s:s}", "time", text, "kind", kind, "study", study);
    if (task > 0)
        json_object_set_new(line, "task", json_integer(task));
    return line;
}

static void add_bytes(json_t *line, const unsigned char *plain, size_t n)
{
    unsigned char hash[PLAN_HASH_BYTES];
    char hex[2 * PLAN_HASH_BYTES + 1];
    crypto_generichash(hash, sizeof hash, plain, n, NULL, 0);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    json_object_set_new(line, "bytes", json_integer((json_int_t)n));
    json_object_set_new(line, "hash", json_string(hex));
}

/* Takes line over. */
static struct result finish(int fd, json_t *line, struct why *why)
{
    CLEANUP(free_pointer) char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (!text)
        return failed(why, RESULT_SYSTEM, "no memory to note what leaves");
    size_t n = strlen(text);
    text[n] = '\n'; /* in place of the closing zero */
    ssize_t put = write(fd, text, n + 1);
    text[n] = '\0';
    if (put != (ssize_t)n + 1 || fsync(fd) < 0)
        return failed(why, RESULT_SYSTEM, "cannot note what leaves: %s",
                      put < 0 ? strerror(errno) : "disk full");
    return DONE;
}

struct result record_update(int fd, const char *study, uint32_t task,
                            const struct payload_update *update, const unsigned char *plain,
                            size_t n, struct why *why)
{
    json_t *line = start("update", study, task);
    add_bytes(line, plain, n);
    json_object_set_new(line, "round", json_integer(update->round));
    json_object_set_new(line, "declared_patients",
                        json_integer((json_int_t)update->declared_patients));
    json_object_set_new(line, "epsilon_spent", number_or_null(update->epsilon_spent));
    json_object_set_new(line, "epsilon_budget", number_or_null(update->epsilon_budget));
    json_object_set_new(line, "seconds", number_or_null(update->seconds));
    json_object_set_new(line, "peak_memory_kb", json_integer((json_int_t)update->peak_memory_kb));
    json_object_set_new(line, "frame_bytes", json_integer((json_int_t)update->frame_n));
    return finish(fd, line, why);
}

struct result record_word(int fd, const char *study, uint32_t task, const struct secure_word *word,
                          const char *note, const unsigned char *plain, size_t n, struct why *why)
{
    json_t *line = start("secure", study, task);
    add_bytes(line, plain, n);
    json_object_set_new(line, "round", json_integer(word->round));
    json_object_set_new(line, "stage", json_string(task_kind_name(word->stage)));
    json_object_set_new(line, "note", json_string(note));
    return finish(fd, line, why);
}

static json_t *figures_json(const struct evaluation_figures *f)
{
    json_t *out = json_object();
    json_object_set_new(out, "group", json_string(f->group));
    json_object_set_new(out, "status", json_integer(f->status));
    json_object_set_new(out, "positives", json_integer((json_int_t)f->positives));
    json_object_set_new(out, "negatives", json_integer((json_int_t)f->negatives));
    const struct {
        const char *name;
        double value;
    } values[] = {
        {"auroc", f->auroc},
        {"auroc_variance", f->auroc_variance},
        {"auroc_low", f->auroc_low},
        {"auroc_high", f->auroc_high},
        {"brier", f->brier},
        {"brier_variance", f->brier_variance},
        {"calibration_slope", f->calibration_slope},
        {"calibration_slope_se", f->calibration_slope_se},
        {"calibration_intercept", f->calibration_intercept},
        {"calibration_intercept_se", f->calibration_intercept_se},
        {"observed_expected", f->observed_expected},
        {"accuracy", f->accuracy},
        {"sensitivity", f->sensitivity},
        {"specificity", f->specificity},
        {"loss", f->loss},
        {"ppv", f->ppv},
        {"alert_rate", f->alert_rate},
        {"sensitivity_fixed", f->sensitivity_fixed},
        {"macro_auroc", f->macro_auroc},
        {"ece", f->ece},
        {"ece_null", f->ece_null},
        {"spiegelhalter_z", f->spiegelhalter_z},
        {"ipa", f->ipa},
        {"difference", f->difference},
        {"difference_variance", f->difference_variance},
        {"difference_p", f->difference_p},
        {"cindex", f->cindex},
        {"cindex_variance", f->cindex_variance},
        {"rows_per_patient", f->rows_per_patient},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        json_object_set_new(out, values[i].name, number_or_null(values[i].value));
    return out;
}

static json_t *bins_json(const double *bins, uint32_t count)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(out, number_or_null(bins[i]));
    return out;
}

static json_t *epoch_json(const struct evaluation_epoch *e)
{
    return json_pack("{s:i, s:i, s:I, s:b, s:I, s:I}", "number", (int)e->number, "first",
                     (int)(e->first > 0 ? e->first : 1), "date_ms", (json_int_t)e->date_ms,
                     "reused", e->reused, "low", (json_int_t)e->low, "high", (json_int_t)e->high);
}

static json_t *drift_column_json(const struct evaluation_drift_column *c)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", c->name, "status",
                     evaluation_statistic_name(c->status), "kl", number_or_null(c->kl), "kl_p",
                     number_or_null(c->kl_p), "psi", number_or_null(c->psi), "psi_p",
                     number_or_null(c->psi_p), "ks", number_or_null(c->ks), "ks_p",
                     number_or_null(c->ks_p), "missing_z", number_or_null(c->missing_z));
}

static json_t *drift_json(const struct evaluation_drift *d)
{
    json_t *columns = json_array();
    for (uint32_t i = 0; i < d->columns_count; i++)
        json_array_append_new(columns, drift_column_json(&d->columns[i]));
    return json_pack("{s:s, s:b, s:I, s:o, s:o, s:o, s:o, s:s, s:o}", "status",
                     evaluation_statistic_name(d->status), "of_training", d->of_training,
                     "reference_date_ms", (json_int_t)d->reference_date_ms, "score",
                     drift_column_json(&d->score), "mmd2", number_or_null(d->mmd2), "mmd_p",
                     number_or_null(d->mmd_p), "expected_auroc", number_or_null(d->expected_auroc),
                     "worst", d->worst, "columns", columns);
}

static json_t *strata_json(const struct evaluation_strata *s)
{
    return json_pack("{s:s, s:[i, i], s:i, s:b, s:o, s:o, s:o, s:o, s:I, s:I}", "status",
                     evaluation_statistic_name(s->status), "clusters", (int)s->clusters[0],
                     (int)s->clusters[1], "tested", (int)s->tested, "of_positives", s->of_positives,
                     "gap", number_or_null(s->gap), "gap_low", number_or_null(s->gap_low),
                     "gap_high", number_or_null(s->gap_high), "p", number_or_null(s->p), "low",
                     (json_int_t)s->low, "high", (json_int_t)s->high);
}

struct result record_evaluation(int fd, const char *study, uint32_t task,
                                const struct payload_evaluation *evaluation,
                                const unsigned char *plain, size_t n, struct why *why)
{
    json_t *line = start("evaluation", study, task);
    add_bytes(line, plain, n);
    json_object_set_new(line, "round", json_integer(evaluation->round));
    json_object_set_new(line, "metrics_epsilon", number_or_null(evaluation->metrics_epsilon));
    json_t *models = json_array();
    for (uint32_t i = 0; i < evaluation->models_count; i++) {
        const struct evaluation_model *m = &evaluation->models[i];
        json_t *model = json_pack("{s:s}", "name", m->name);
        json_t *groups = json_array();
        for (uint32_t g = 0; g < m->groups_count; g++)
            json_array_append_new(groups, figures_json(&m->groups[g]));
        json_object_set_new(model, "groups", groups);
        if (m->bins_count > 0) {
            json_object_set_new(model, "positives", bins_json(m->positives, m->bins_count));
            json_object_set_new(model, "negatives", bins_json(m->negatives, m->bins_count));
        }
        json_object_set_new(model, "difference", number_or_null(m->difference));
        json_object_set_new(model, "difference_variance", number_or_null(m->difference_variance));
        json_array_append_new(models, model);
    }
    json_object_set_new(line, "models", models);
    json_object_set_new(line, "release", json_string(evaluation_release_name(evaluation->release)));
    json_object_set_new(line, "epoch", epoch_json(&evaluation->epoch));
    json_object_set_new(line, "drift", drift_json(&evaluation->drift));
    json_object_set_new(line, "strata", strata_json(&evaluation->strata));
    return finish(fd, line, why);
}

struct result record_answer(int fd, const char *study, const struct message_study_answer *answer,
                            struct why *why)
{
    static const char *const VERDICTS[] = {"", "allowed", "asking", "refused"};
    char hex[2 * PLAN_HASH_BYTES + 1];
    json_t *line = start("answer", study, 0);
    json_object_set_new(line, "verdict", json_string(VERDICTS[answer->verdict]));
    json_object_set_new(line, "reason", json_string(answer->reason));
    json_object_set_new(line, "declared_patients",
                        json_integer((json_int_t)answer->declared_patients));
    json_object_set_new(line, "epsilon_budget", number_or_null(answer->epsilon_budget));
    sodium_bin2hex(hex, sizeof hex, answer->data_fingerprint, PLAN_HASH_BYTES);
    json_object_set_new(line, "data_fingerprint", json_string(hex));
    return finish(fd, line, why);
}

struct result record_declined(int fd, const char *study, uint32_t task, const char *reason,
                              struct why *why)
{
    json_t *line = start("declined", study, task);
    json_object_set_new(line, "reason", json_string(reason));
    return finish(fd, line, why);
}
