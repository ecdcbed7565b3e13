/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a plan: YAML by the schema, then defaults. What a plan may say is checked in
 * plan_check.c. */
#include "proto/plan.h"

#include "privacy/mask.h"
#include "proto/base/conf.h"
#include "proto/base/fs.h"
#include "proto/plan_check.h"
#include "proto/plan_schema.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void set_default(double *value, double preset)
{
    if (*value == 0.0)
        *value = preset;
}

static void set_default_count(unsigned *value, unsigned preset)
{
    if (*value == 0)
        *value = preset;
}

static void default_training(struct plan_training *t, enum plan_privacy_mode mode)
{
    if (t->epochs == 0 && t->steps == 0)
        t->epochs = 1;
    if (mode == PRIVACY_NONE && t->steps == 0)
        set_default_count(&t->batch, 32);
    set_default(&t->server_learning_rate, 1.0);
    set_default(&t->average_from, 1.0);
}

static void default_rest(struct plan *plan)
{
    struct plan_privacy *p = &plan->privacy;
    set_default(&p->sampling_rate, 1.0);
    set_default(&p->clip_norm, 1.0);
    set_default(&p->delta, 1e-6);
    set_default_count(&p->max_rows_per_patient, 1);
    set_default_count(&p->max_sites_per_patient, 1);
    if (plan->compression[0] == '\0')
        memcpy(plan->compression, "none", sizeof "none");
    struct plan_aggregation *a = &plan->aggregation;
    set_default(&a->max_share, a->byzantine > 0 ? 0.3 : 0.5);
    set_default(&a->deadline_s, 600.0);
    if (a->secure) {
        set_default_count(&a->secure_threshold, mask_threshold(plan->sites_count));
        set_default_count(&a->secure_colluders, 1);
        set_default_count(&a->quorum, a->secure_threshold);
    }
    set_default_count(&a->quorum, (plan->sites_count * 2 + 2) / 3);
    struct plan_validation *v = &plan->validation;
    set_default_count(&v->every, 5);
    if (v->fold_column[0] == '\0')
        set_default(&v->holdout, 0.2);
    set_default(&v->threshold, 0.5);
    set_default_count(&v->min_cell, 11);
    set_default(&v->margin, 0.02);
}

/* The middle and a quarter of the width put a plausible range onto [-2, 2]. */
static void default_scale(double low, double high, double *centre, double *spread)
{
    if (*spread == 0.0) {
        *centre = (low + high) / 2.0;
        *spread = (high - low) / 4.0;
    }
    if (*centre == 0.0 && !(low <= 0.0 && high >= 0.0))
        *centre = (low + high) / 2.0; /* left out beside a spread */
}

/* A flag without levels reads "0" and "1". */
static bool default_flag(struct plan_feature *f)
{
    if (f->levels_count > 0)
        return true;
    f->levels = calloc(2, sizeof *f->levels);
    if (!f->levels)
        return false;
    f->levels[0].name[0] = '0';
    f->levels[1].name[0] = '1';
    f->levels_count = 2;
    return true;
}

static bool apply_defaults(struct plan *plan)
{
    default_training(&plan->training, plan->privacy.mode);
    default_rest(plan);
    for (unsigned i = 0; i < plan->features_count; i++) {
        struct plan_feature *f = &plan->features[i];
        if (f->type == FEATURE_NUMBER)
            default_scale(f->low, f->high, &f->centre, &f->spread);
        if (f->type == FEATURE_FLAG && !default_flag(f))
            return false;
    }
    if (plan->label.type == LABEL_REAL)
        default_scale(plan->label.low, plan->label.high, &plan->label.centre, &plan->label.spread);
    return true;
}

struct result plan_parse(struct plan *plan, const char *name, const char *text, size_t n,
                         struct why *why)
{
    memset(plan, 0, sizeof *plan);
    if (n > PLAN_BYTES_MAX)
        return failed(why, RESULT_INPUT, "%s: %zu bytes are more than the %d of a plan", name, n,
                      PLAN_BYTES_MAX);
    struct conf_source source = {name, text, n};
    void *data = NULL;
    TRY(conf_load(&source, &plan_schema, &data, why));
    memcpy(plan, data, sizeof *plan);
    free(data); /* the top struct only: what it points to belongs to *plan now */
    struct result r = apply_defaults(plan) ? plan_check(plan, &source, why)
                                           : failed(why, RESULT_SYSTEM, "out of memory for a plan");
    if (!ok(r)) {
        plan_free(plan);
        return r;
    }
    crypto_generichash(plan->hash, sizeof plan->hash, (const unsigned char *)text, n, NULL, 0);
    return DONE;
}

struct result plan_load(struct plan *plan, const char *path, char **ret_text, size_t *ret_n,
                        struct why *why)
{
    char *text = NULL;
    size_t n;
    memset(plan, 0, sizeof *plan);
    TRY(fs_read(path, PLAN_BYTES_MAX, &text, &n, why));
    const char *slash = strrchr(path, '/');
    struct result r = plan_parse(plan, slash ? slash + 1 : path, text, n, why);
    if (!ok(r) || !ret_text) {
        free(text);
        return r;
    }
    *ret_text = text;
    *ret_n = n;
    return DONE;
}

void plan_free(struct plan *plan)
{
    for (unsigned i = 0; i < plan->features_count; i++) {
        free(plan->features[i].levels);
        free(plan->features[i].shares);
        free(plan->features[i].prior);
    }
    for (unsigned i = 0; i < plan->subgroups_count; i++)
        free(plan->subgroups[i].levels);
    free(plan->features);
    free(plan->subgroups);
    free(plan->label.levels);
    free(plan->sites);
    free(plan->model.hidden);
    free(plan->training.class_weights);
    memset(plan, 0, sizeof *plan);
}
