/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan may say: bounds of every number, names that are unique, parts that fit together. */
#include "proto/plan_check.h"

#include "proto/compress/codec.h"
#include "proto/topic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double PRIOR_MAX = 10.0; /* of a coefficient on scaled columns */

/* A number with its name and bounds; NAN and infinities are never inside. */
struct bound {
    const char *path;
    double value, low, high;
};

static struct result check_bounds(const struct bound *bounds, size_t count,
                                  const struct conf_source *s, struct why *why)
{
    for (size_t i = 0; i < count; i++) {
        const struct bound *b = &bounds[i];
        if (!(b->value >= b->low && b->value <= b->high))
            return conf_wrong(s, why, b->path, "%g is outside %g to %g", b->value, b->low, b->high);
    }
    return DONE;
}

static struct result check_levels(const struct plan_level *levels, unsigned count, unsigned least,
                                  const char *path, const struct conf_source *s, struct why *why)
{
    if (count < least)
        return conf_wrong(s, why, path, "needs at least %u levels, has %u", least, count);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = i + 1; j < count; j++) {
            if (strcmp(levels[i].name, levels[j].name) == 0)
                return conf_wrong(s, why, path, "level '%s' stands twice", levels[i].name);
        }
    }
    return DONE;
}

static struct result check_range(double low, double high, double centre, double spread,
                                 const char *path, const struct conf_source *s, struct why *why)
{
    if (!isfinite(low) || !isfinite(high) || !(low < high))
        return conf_wrong(s, why, path, "needs a plausible range: [low, high] with low below high");
    if (!isfinite(spread) || !(spread > 0.0))
        return conf_wrong(s, why, path, "spread must be above 0");
    if (!(centre >= low && centre <= high))
        return conf_wrong(s, why, path,
                          "centre %g lies outside the range %g to %g: another unit, or a typo?",
                          centre, low, high);
    return DONE;
}

static struct result check_missing(const struct plan_feature *f, const char *path,
                                   const struct conf_source *s, struct why *why)
{
    if (f->missing != MISSING_VALUE)
        return f->missing_value[0] == '\0'
                   ? DONE
                   : conf_wrong(s, why, path, "missing_value needs 'missing: value'");
    if (f->type == FEATURE_NUMBER) {
        char *end;
        double v = strtod(f->missing_value, &end);
        if (f->missing_value[0] == '\0' || *end != '\0' || !(v >= f->low && v <= f->high))
            return conf_wrong(s, why, path, "missing_value must be a number inside the range");
        return DONE;
    }
    for (unsigned i = 0; i < f->levels_count; i++) {
        if (strcmp(f->levels[i].name, f->missing_value) == 0)
            return DONE;
    }
    return conf_wrong(s, why, path, "missing_value must be one of the feature's levels");
}

static struct result check_shares(const struct plan_feature *f, const char *path,
                                  const struct conf_source *s, struct why *why)
{
    if (f->shares_count == 0)
        return DONE;
    if (f->type == FEATURE_NUMBER)
        return conf_wrong(s, why, path,
                          "shares are for categories and flags; a number has centre "
                          "and spread");
    if (f->shares_count != f->levels_count)
        return conf_wrong(s, why, path, "needs one share for each of its %u levels",
                          f->levels_count);
    double sum = 0.0;
    for (unsigned i = 0; i < f->shares_count; i++) {
        if (!(f->shares[i] >= 0.0 && f->shares[i] <= 1.0))
            return conf_wrong(s, why, path, "a share lies between 0 and 1");
        sum += f->shares[i];
    }
    if (!(fabs(sum - 1.0) <= 0.05))
        return conf_wrong(s, why, path, "the shares of its levels must add to 1, not to %g", sum);
    return DONE;
}

static struct result check_prior(const struct plan *plan, const struct plan_feature *f,
                                 const char *path, const struct conf_source *s, struct why *why)
{
    if (f->prior_count == 0)
        return DONE;
    if (plan->model.kind == MODEL_SOFTMAX || plan->model.kind == MODEL_MLP)
        return conf_wrong(
            s, why, path,
            "a prior needs one coefficient for each column: model linear, logistic or hazard");
    if (f->prior_count != plan_feature_columns(f))
        return conf_wrong(s, why, path, "needs a prior for each of its %u columns, has %u",
                          plan_feature_columns(f), f->prior_count);
    for (unsigned i = 0; i < f->prior_count; i++) {
        if (!(fabs(f->prior[i]) <= PRIOR_MAX))
            return conf_wrong(s, why, path,
                              "a prior of %g is beyond %g: it is the coefficient of a column that "
                              "centre and spread, or shares, have scaled",
                              f->prior[i], PRIOR_MAX);
    }
    return DONE;
}

static struct result check_feature(const struct plan *plan, unsigned i, const struct conf_source *s,
                                   struct why *why)
{
    const struct plan_feature *f = &plan->features[i];
    char path[2 * PLAN_NAME_BYTES];
    snprintf(path, sizeof path, "features/%s", f->name);
    for (unsigned j = 0; j < i; j++) {
        if (strcmp(plan->features[j].name, f->name) == 0)
            return conf_wrong(s, why, path, "stands twice among the features");
    }
    if (strcmp(f->name, plan->label.column) == 0)
        return conf_wrong(s, why, path, "is the label too: a model must not see what it predicts");
    if (strcmp(f->name, plan->label.time) == 0)
        return conf_wrong(s, why, path, "is the follow-up time, which nobody knows beforehand");
    if (strcmp(f->name, plan->patient_id) == 0)
        return conf_wrong(s, why, path, "is the patient id, which must not be a feature");
    switch (f->type) {
    case FEATURE_NUMBER:
        TRY(check_range(f->low, f->high, f->centre, f->spread, path, s, why));
        break;
    case FEATURE_CATEGORY:
        TRY(check_levels(f->levels, f->levels_count, 2, path, s, why));
        break;
    case FEATURE_FLAG:
        if (f->levels_count != 2)
            return conf_wrong(s, why, path, "a flag has two levels, [no, yes]");
        break;
    }
    TRY(check_shares(f, path, s, why));
    TRY(check_prior(plan, f, path, s, why));
    return check_missing(f, path, s, why);
}

static struct result check_label(const struct plan *plan, const struct conf_source *s,
                                 struct why *why)
{
    const struct plan_label *l = &plan->label;
    if (strcmp(l->column, plan->patient_id) == 0)
        return conf_wrong(s, why, "label/column", "is the patient id");
    switch (l->type) {
    case LABEL_BINARY:
        if (l->levels_count != 2)
            return conf_wrong(s, why, "label/levels",
                              "a binary label has two levels, [negative, positive]");
        return check_levels(l->levels, l->levels_count, 2, "label/levels", s, why);
    case LABEL_CLASS:
        return check_levels(l->levels, l->levels_count, 2, "label/levels", s, why);
    case LABEL_REAL:
        return check_range(l->low, l->high, l->centre, l->spread, "label/range", s, why);
    }
    return DONE;
}

static struct result check_time(const struct plan *plan, const struct conf_source *s,
                                struct why *why)
{
    const struct plan_label *l = &plan->label;
    bool hazard = plan->model.kind == MODEL_HAZARD;
    if (l->time[0] && l->type != LABEL_BINARY)
        return conf_wrong(s, why, "label/time", "goes with a binary label: the event");
    if (l->time[0] && (strcmp(l->time, l->column) == 0 || strcmp(l->time, plan->patient_id) == 0))
        return conf_wrong(s, why, "label/time", "is the event or the patient id itself");
    if (hazard && !l->time[0])
        return conf_wrong(s, why, "label/time", "a hazard model needs the follow-up time");
    if (hazard != (l->horizon != 0.0) || (hazard && !(l->horizon > 0.0 && l->horizon <= 1e9)))
        return conf_wrong(s, why, "label/horizon",
                          "a hazard model, and only one, tells the risk within a horizon above 0");
    if (hazard && plan->training.class_weights_count > 0)
        return conf_wrong(s, why, "training/class_weights", "a hazard model has no classes");
    return DONE;
}

static struct result check_model(const struct plan *plan, const struct conf_source *s,
                                 struct why *why)
{
    const struct plan_model *m = &plan->model;
    static const enum plan_label_type FITTING[] = {[MODEL_LINEAR] = LABEL_REAL,
                                                   [MODEL_LOGISTIC] = LABEL_BINARY,
                                                   [MODEL_SOFTMAX] = LABEL_CLASS,
                                                   [MODEL_HAZARD] = LABEL_BINARY};
    if (m->kind != MODEL_MLP && plan->label.type != FITTING[m->kind])
        return conf_wrong(s, why, "model/kind",
                          "linear needs a real label, logistic and hazard a binary one, softmax a "
                          "class");
    if ((m->kind == MODEL_MLP) != (m->hidden_count > 0))
        return conf_wrong(s, why, "model/hidden", "an mlp, and only an mlp, has hidden layers");
    for (unsigned i = 0; i < m->hidden_count; i++) {
        if (m->hidden[i] < 1 || m->hidden[i] > PLAN_LAYER_UNITS_MAX)
            return conf_wrong(s, why, "model/hidden", "a layer of %u units is outside 1 to %d",
                              m->hidden[i], PLAN_LAYER_UNITS_MAX);
    }
    return DONE;
}

static struct result check_training(const struct plan *plan, const struct conf_source *s,
                                    struct why *why)
{
    const struct plan_training *t = &plan->training;
    const struct bound bounds[] = {
        {"training/rounds", t->rounds, 1, PLAN_ROUNDS_MAX},
        {"training/epochs", t->epochs, 0, 1000},
        {"training/steps", t->steps, 0, 100000},
        {"training/batch", t->batch, 0, 1e6},
        {"training/learning_rate", t->learning_rate, 1e-9, 1e3},
        {"training/learning_rate_end", t->learning_rate_end, 0, t->learning_rate},
        {"training/momentum", t->momentum, 0, 0.999},
        {"training/l2", t->l2, 0, 1e3},
        {"training/proximal", t->proximal, 0, 1e3},
        {"training/server_learning_rate", t->server_learning_rate, 1e-6, 1e3},
        {"training/server_momentum", t->server_momentum, 0, 0.999},
        {"training/average_from", t->average_from, 0, 1},
    };
    TRY(check_bounds(bounds, sizeof bounds / sizeof *bounds, s, why));
    if (t->epochs > 0 && t->steps > 0)
        return conf_wrong(s, why, "training/steps", "give epochs or steps, not both");
    unsigned classes = plan->label.type == LABEL_REAL ? 0 : plan->label.levels_count;
    if (t->class_weights_count != 0 && t->class_weights_count != classes)
        return conf_wrong(s, why, "training/class_weights",
                          "needs one weight for each of %u levels", classes);
    for (unsigned i = 0; i < t->class_weights_count; i++) {
        if (!(t->class_weights[i] > 0.0 && t->class_weights[i] <= 1e3))
            return conf_wrong(s, why, "training/class_weights",
                              "a weight must be above 0, up to 1000");
    }
    return DONE;
}

static struct result check_privacy(const struct plan *plan, const struct conf_source *s,
                                   struct why *why)
{
    const struct plan_privacy *p = &plan->privacy;
    if (p->mode == PRIVACY_NONE)
        return p->epsilon == 0.0
                   ? DONE
                   : conf_wrong(s, why, "privacy/epsilon", "has no effect without 'mode: patient'");
    const struct bound bounds[] = {
        {"privacy/delta", p->delta, 1e-20, 1e-2},
        {"privacy/clip_norm", p->clip_norm, 1e-6, 1e6},
        {"privacy/sampling_rate", p->sampling_rate, 1e-6, 1},
        {"privacy/noise_multiplier", p->noise_multiplier, 0, 1e6},
        {"privacy/metrics_noise", p->metrics_noise, 0, 1e6},
        {"privacy/max_rows_per_patient", p->max_rows_per_patient, 1, 1024},
        {"privacy/max_sites_per_patient", p->max_sites_per_patient, 1, PLAN_SITES_MAX},
    };
    TRY(check_bounds(bounds, sizeof bounds / sizeof *bounds, s, why));
    if (!(p->epsilon >= 0.001 && p->epsilon <= 100.0))
        return conf_wrong(s, why, "privacy/epsilon",
                          "%g is outside 0.001 to 100: state the budget of the whole study at one "
                          "site, such as 1.0",
                          p->epsilon);
    if (plan->training.optimiser == OPTIMISER_ADAM)
        return conf_wrong(
            s, why, "training/optimiser",
            "with privacy the local steps must be sgd, whose noise the coordinator can "
            "check");
    return DONE;
}

static struct result check_sites(const struct plan *plan, const struct conf_source *s,
                                 struct why *why)
{
    if (!topic_name_valid(plan->study))
        return conf_wrong(s, why, "study",
                          "'%s' is not a name: use 1 to 63 of a-z 0-9 - _, a letter first",
                          plan->study);
    for (unsigned i = 0; i < plan->sites_count; i++) {
        if (!topic_name_valid(plan->sites[i].name))
            return conf_wrong(s, why, "sites",
                              "'%s' is not a name: use 1 to 63 of a-z 0-9 - _, a letter first",
                              plan->sites[i].name);
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(plan->sites[i].name, plan->sites[j].name) == 0)
                return conf_wrong(s, why, "sites", "'%s' stands twice", plan->sites[i].name);
        }
    }
    return DONE;
}

static struct result check_aggregation(const struct plan *plan, const struct conf_source *s,
                                       struct why *why)
{
    const struct plan_aggregation *a = &plan->aggregation;
    const struct plan_validation *v = &plan->validation;
    const struct bound bounds[] = {
        {"aggregation/byzantine", a->byzantine, 0, PLAN_SITES_MAX},
        {"aggregation/max_share", a->max_share, 0.01, 1},
        {"aggregation/quorum", a->quorum, 1, plan->sites_count},
        {"aggregation/deadline_s", a->deadline_s, 1, 604800},
        {"aggregation/max_norm", a->max_norm, 0, 1e9},
        {"aggregation/site_momentum", a->site_momentum, 0, 0.999},
        {"aggregation/quarantine", a->quarantine, 0, PLAN_ROUNDS_MAX},
        {"aggregation/bucket_size", a->bucket_size, 0, plan->sites_count},
        {"aggregation/dissimilarity_b", a->dissimilarity_b, 0, 1e3},
        {"validation/every", v->every, 1, PLAN_ROUNDS_MAX},
        {"validation/holdout", v->holdout, 0, 0.9},
        {"validation/threshold", v->threshold, 0, 1},
        {"validation/min_cell", v->min_cell, 1, 1000},
        {"validation/margin", v->margin, 0.0001, 0.5},
    };
    TRY(check_bounds(bounds, sizeof bounds / sizeof *bounds, s, why));
    if (2 * a->byzantine >= plan->sites_count && a->byzantine > 0)
        return conf_wrong(s, why, "aggregation/byzantine",
                          "no rule withstands %u hostile sites of %u: it must be below half",
                          a->byzantine, plan->sites_count);
    if (a->secure && (a->site_momentum > 0 || a->quarantine > 0))
        return conf_wrong(s, why,
                          a->quarantine > 0 ? "aggregation/quarantine"
                                            : "aggregation/site_momentum",
                          "needs single updates, which secure aggregation hides");
    if ((v->fold_column[0] == '\0') != (v->fold_value[0] == '\0'))
        return conf_wrong(s, why, "validation/fold_column", "needs fold_value, and the reverse");
    return DONE;
}

static struct result check_subgroups(const struct plan *plan, const struct conf_source *s,
                                     struct why *why)
{
    for (unsigned i = 0; i < plan->subgroups_count; i++)
        TRY(check_levels(plan->subgroups[i].levels, plan->subgroups[i].levels_count, 2, "subgroups",
                         s, why));
    return DONE;
}

struct result plan_check(const struct plan *plan, const struct conf_source *source, struct why *why)
{
    if (plan->version != 1)
        return conf_wrong(source, why, "version", "%u is not known: this release reads version 1",
                          plan->version);
    TRY(check_sites(plan, source, why));
    TRY(check_label(plan, source, why));
    for (unsigned i = 0; i < plan->features_count; i++)
        TRY(check_feature(plan, i, source, why));
    TRY(check_subgroups(plan, source, why));
    TRY(check_model(plan, source, why));
    TRY(check_time(plan, source, why));
    TRY(check_training(plan, source, why));
    TRY(check_privacy(plan, source, why));
    TRY(check_aggregation(plan, source, why));
    TRY(plan_check_secure(plan, source, why));
    struct why codec_why;
    struct codec codec;
    if (!ok(codec_parse(plan->compression, &codec, &codec_why)))
        return conf_wrong(source, why, "compression", "%s", codec_why.text);
    return DONE;
}
