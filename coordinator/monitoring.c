/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at a watched model.
 *
 * Each site's e-process bets that accuracy stays at what was promised, m0 = baseline - margin:
 * E = prod (1 + lambda (m0 - x)) over its patients, lambda fixed before the period from the periods
 * before it. Holdouts only grow, so a period is what a newer epoch holds beyond the last one seen:
 * patients counted twice would break its validity. Right answers come from a rounded accuracy; the
 * rounding is taken in the model's favour. Independent sites' values multiply (Waudby-Smith and
 * Ramdas 2023; validation.md B7). */
#include "coordinator/monitoring.h"

#include "coordinator/entry.h"
#include "proto/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LAMBDA_FIRST = 0.25; /* the bet of the first period */
static const double LAMBDA_SHARE = 0.9;  /* of the largest bet that cannot lose everything */
static const double ROUNDED = 0.0005;    /* an accuracy is released to three places */

static double at(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static const char *text_at(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static double or_nought(double value)
{
    return isnan(value) ? 0.0 : value;
}

static void put(json_t *o, const char *key, double value)
{
    json_object_set_new(o, key, number_or_null(value));
}

static json_t *policy_json(const struct monitor_policy *p)
{
    json_t *o = json_object();
    put(o, "auroc_drop_investigate", p->auroc_drop_investigate);
    put(o, "auroc_drop_suspend", p->auroc_drop_suspend);
    put(o, "brier_rise_max", p->brier_rise_max);
    put(o, "ece_max", p->ece_max);
    put(o, "accuracy_gap_max", p->accuracy_gap_max);
    put(o, "kl_max", p->kl_max);
    put(o, "accuracy_margin", p->accuracy_margin);
    put(o, "alpha", p->alpha);
    json_object_set_new(o, "looks", json_integer(p->looks));
    json_object_set_new(o, "site_suspends", json_boolean(p->site_suspends));
    json_object_set_new(o, "investigate_ms", json_integer(p->investigate_ms));
    json_object_set_new(o, "suspend_ms", json_integer(p->suspend_ms));
    return o;
}

static struct monitor_policy policy_of(const json_t *terms)
{
    const json_t *o = json_object_get(terms, "policy");
    return (struct monitor_policy){
        .auroc_drop_investigate = at(o, "auroc_drop_investigate"),
        .auroc_drop_suspend = at(o, "auroc_drop_suspend"),
        .brier_rise_max = at(o, "brier_rise_max"),
        .ece_max = at(o, "ece_max"),
        .accuracy_gap_max = at(o, "accuracy_gap_max"),
        .kl_max = at(o, "kl_max"),
        .accuracy_margin = at(o, "accuracy_margin"),
        .alpha = at(o, "alpha"),
        .looks = (unsigned)json_integer_value(json_object_get(o, "looks")),
        .site_suspends = json_is_true(json_object_get(o, "site_suspends")),
        .investigate_ms = json_integer_value(json_object_get(o, "investigate_ms")),
        .suspend_ms = json_integer_value(json_object_get(o, "suspend_ms")),
    };
}

struct result monitoring_terms_json(const struct monitoring_terms *terms, json_t **ret_terms,
                                    struct why *why)
{
    char hash[HEX_HASH_BYTES];
    *ret_terms = NULL;
    TRY(monitor_policy_check(&terms->policy, why));
    if (terms->interval_ms != 0 && (terms->interval_ms < MONITORING_INTERVAL_MS_MIN ||
                                    terms->interval_ms > MONITORING_INTERVAL_MS_MAX))
        return failed(why, RESULT_INPUT, "the interval between looks is from 1 s to 366 days");
    if (!terms->owner[0] || strlen(terms->owner) >= MONITORING_OWNER_BYTES)
        return failed(why, RESULT_INPUT, "name the owner who answers findings");
    if (isnan(at(terms->baseline, "auroc")) || isnan(at(terms->baseline, "variance")))
        return failed(why, RESULT_REFUSED,
                      "the evaluation of task %u gives no AUROC to hold later ones against",
                      terms->baseline_task);
    hex_hash(hash, terms->model);
    json_t *o = json_object();
    json_object_set_new(o, "model", json_string(hash));
    json_object_set_new(o, "study", json_string_nocheck(terms->study));
    json_object_set_new(o, "owner", json_string_nocheck(terms->owner));
    json_object_set_new(o, "interval_ms", json_integer(terms->interval_ms));
    json_object_set_new(o, "policy", policy_json(&terms->policy));
    json_object_set_new(o, "baseline_task", json_integer(terms->baseline_task));
    json_object_set(o, "baseline", terms->baseline);
    *ret_terms = o;
    return DONE;
}

json_t *monitoring_begin(void)
{
    return json_pack("{s:i, s:{}}", "look", 0, "bets");
}

unsigned monitoring_looks_done(const json_t *progress)
{
    return (unsigned)json_integer_value(json_object_get(progress, "look"));
}

unsigned monitoring_looks_planned(const json_t *terms)
{
    return policy_of(terms).looks;
}

static const json_t *site_named(const json_t *summary, const char *name)
{
    return entry_named(json_object_get(summary, "sites"), "name", name);
}

/* A look that is under way. */
struct look {
    struct monitor_policy policy;
    const json_t *baseline, *summary;
    unsigned number;
    int64_t now_ms;
    double seen, before,
        time; /* labels judged so far; information time of the last look, of this */
    double bound, site_bound;
    bool spends; /* some site judged other patients than at the look before */
    json_t *findings;
    enum monitor_severity worst;
    int64_t deadline_ms;
};

static void keep(struct look *look, const char *scope, const struct monitor_finding *f)
{
    json_t *o = json_object();
    json_object_set_new(o, "scope", json_string_nocheck(scope));
    json_object_set_new(o, "rule", json_string(f->rule));
    json_object_set_new(o, "severity", json_string(monitor_severity_name(f->severity)));
    json_object_set_new(o, "known", json_boolean(f->known));
    put(o, "value", f->value);
    put(o, "threshold", f->threshold);
    put(o, "z", f->z);
    put(o, "bound", f->bound);
    json_object_set_new(o, "deadline_ms", json_integer(f->deadline_ms));
    json_object_set_new(o, "words", json_string_nocheck(f->words));
    json_array_append_new(look->findings, o);
    look->worst = f->severity > look->worst ? f->severity : look->worst;
    if (f->deadline_ms > 0 && (look->deadline_ms == 0 || f->deadline_ms < look->deadline_ms))
        look->deadline_ms = f->deadline_ms;
}

/* What both scopes judge. */
static struct monitor_look figures_of(const struct look *look, const json_t *base,
                                      const json_t *now)
{
    struct monitor_look in = monitor_look_none(look->now_ms);
    in.auroc_base = at(base, "auroc");
    in.var_base = at(base, "variance");
    in.auroc_now = at(now, "auroc");
    in.var_now = at(now, "variance");
    in.cindex_base = at(base, "cindex");
    in.cindex_var_base = at(base, "cindex_variance");
    in.cindex_now = at(now, "cindex");
    in.cindex_var_now = at(now, "cindex_variance");
    in.brier_base = at(base, "brier");
    in.brier_var_base = at(base, "brier_variance");
    in.brier_now = at(now, "brier");
    in.brier_var_now = at(now, "brier_variance");
    return in;
}

/* Whether a rule is judged in a scope; a model without follow-up times has no C-index to watch. */
static bool belongs(const char *rule, bool pooled, const json_t *base)
{
    static const char *const ONLY_SITES[] = {"calibration", "drift"};
    static const char *const ONLY_POOLED[] = {"fairness", "e-process"};
    const char *const *others = pooled ? ONLY_SITES : ONLY_POOLED;
    if (strcmp(rule, "c-index") == 0)
        return !isnan(at(base, "cindex"));
    return strcmp(rule, others[0]) != 0 && strcmp(rule, others[1]) != 0;
}

static void judge_pooled(struct look *look, double log_e)
{
    struct monitor_finding findings[MONITOR_RULES];
    struct monitor_look in = figures_of(look, look->baseline, look->summary);
    in.accuracy_gap = at(look->summary, "gap");
    in.accuracy_gap_se = at(look->summary, "gap_se");
    in.log_e = log_e;
    monitor_judge(&look->policy, look->bound, &in, findings);
    for (int k = 0; k < MONITOR_RULES; k++)
        if (belongs(findings[k].rule, true, look->baseline))
            keep(look, "pooled", &findings[k]);
}

/* The site's own rules; fairness and the e-process are judged over all sites. */
static void judge_site(struct look *look, const json_t *base, const json_t *now)
{
    struct monitor_finding findings[MONITOR_RULES];
    struct monitor_look in = figures_of(look, base, now);
    in.ece = at(now, "ece");
    in.ece_null = at(now, "ece_null");
    in.spiegelhalter_z = at(now, "spiegelhalter_z");
    in.kl = at(now, "kl");
    in.kl_p = at(now, "kl_p");
    monitor_judge(&look->policy, look->site_bound, &in, findings);
    for (int k = 0; k < MONITOR_RULES; k++) {
        struct monitor_finding *f = &findings[k];
        if (!belongs(f->rule, false, base))
            continue;
        if (f->severity == MONITOR_SUSPEND && !look->policy.site_suspends) {
            f->severity = MONITOR_INVESTIGATE;
            f->deadline_ms = look->now_ms + look->policy.investigate_ms;
        }
        keep(look, text_at(now, "name"), f);
    }
}

/* The bet of the next period, from the patients of the periods before it. */
static double next_bet(const json_t *bet, double m0)
{
    double rows = at(bet, "rows"), right = at(bet, "right");
    double most = LAMBDA_SHARE / (1.0 - m0);
    if (!(rows > 0.0))
        return fmin(LAMBDA_FIRST, most);
    double mean = (right + 0.5) / (rows + 1.0), gap = m0 - mean;
    double size = gap / (mean * (1.0 - mean) + gap * gap);
    return fmin(fmax(size, 0.0), most);
}

/* Right answers among so many rows, by a rounded accuracy: at most, or at least. */
static double right_of(const json_t *site, bool most)
{
    double rows = at(site, "rows"), share = at(site, "accuracy") + (most ? ROUNDED : -ROUNDED);
    double right = most ? ceil(rows * share - 1e-9) : floor(rows * share + 1e-9);
    return fmin(fmax(right, 0.0), rows);
}

/* Takes one site's period into its e-process; bets is what the next look takes. */
static void push_bet(const struct look *look, const json_t *base, const json_t *now, json_t *bets)
{
    const char *name = text_at(now, "name");
    const json_t *bet = json_object_get(bets, name),
                 *last = bet ? json_object_get(bet, "last") : base;
    double m0 = at(base, "accuracy") - look->policy.accuracy_margin;
    double rows = at(now, "rows") - at(last, "rows");
    bool fresh =
        at(now, "epoch") > at(last, "epoch") && !json_is_true(json_object_get(now, "reused"));
    if (!fresh || !(rows > 0.0) || isnan(at(now, "accuracy")) || isnan(at(last, "accuracy")) ||
        !(m0 > 0.0 && m0 < 1.0))
        return;
    double right = fmin(right_of(now, true) - right_of(last, false), rows);
    double lambda = next_bet(bet, m0);
    right = fmax(right, 0.0);
    double log_e = or_nought(at(bet, "log_e")) + right * log1p(lambda * (m0 - 1.0)) +
                   (rows - right) * log1p(lambda * m0);
    json_t *o = json_object(), *seen = json_object();
    put(o, "log_e", log_e);
    put(o, "rows", or_nought(at(bet, "rows")) + rows);
    put(o, "right", or_nought(at(bet, "right")) + right);
    json_object_set(seen, "epoch", json_object_get(now, "epoch"));
    json_object_set(seen, "rows", json_object_get(now, "rows"));
    json_object_set(seen, "accuracy", json_object_get(now, "accuracy"));
    json_object_set_new(o, "last", seen);
    json_object_set_new(bets, name, o);
}

static double product(const json_t *bets)
{
    double sum = (double)NAN;
    const char *name;
    json_t *bet;
    json_object_foreach((json_t *)(uintptr_t)bets, name, bet)
    {
        sum = (isnan(sum) ? 0.0 : sum) + at(bet, "log_e");
    }
    return sum;
}

/* Whether some site judged patients of another epoch than the last look saw, or dates none. */
static bool has_news(const struct look *look, const json_t *progress)
{
    size_t i;
    json_t *now;
    const json_t *epochs = json_object_get(progress, "epochs");
    json_array_foreach(json_object_get(look->summary, "sites"), i, now)
    {
        const char *name = text_at(now, "name");
        double epoch = at(now, "epoch"), last = at(epochs, name);
        if (isnan(last))
            last = at(site_named(look->baseline, name), "epoch");
        if (json_is_true(json_object_get(now, "used")) && !(epoch > 0.0 && epoch == last))
            return true;
    }
    return false;
}

static json_t *epochs_of(const struct look *look, const json_t *progress)
{
    size_t i;
    json_t *now, *epochs = json_deep_copy(json_object_get(progress, "epochs"));
    if (!epochs)
        epochs = json_object();
    json_array_foreach(json_object_get(look->summary, "sites"), i, now)
    {
        if (json_is_true(json_object_get(now, "used")))
            json_object_set(epochs, text_at(now, "name"), json_object_get(now, "epoch"));
    }
    return epochs;
}

/* A look at the very same patients as the one before can find nothing where nothing has changed: it
 * spends nothing, and takes the bound that a look of planned size would have. */
static void spend(struct look *look, const json_t *progress, size_t sites)
{
    double per_look = at(look->baseline, "labels"), labels = at(look->summary, "labels");
    double each = look->policy.alpha / (double)(sites > 0 ? sites : 1);
    look->before = or_nought(at(progress, "time"));
    look->spends = has_news(look, progress);
    look->seen = or_nought(at(progress, "seen")) + (look->spends ? or_nought(labels) : 0.0);
    look->time = look->spends
                     ? monitor_time(&look->policy, look->number,
                                    isnan(labels) ? labels : look->seen, per_look, look->before)
                     : fmin(look->before + 1.0 / (double)look->policy.looks, 1.0);
    if (look->before >= 1.0) { /* past the plan: as the last look of it */
        double planned = (double)look->policy.looks;
        look->bound = monitor_bound(look->policy.alpha, 1.0 - 1.0 / planned, 1.0);
        look->site_bound = monitor_bound(each, 1.0 - 1.0 / planned, 1.0);
        return;
    }
    look->bound = monitor_bound(look->policy.alpha, look->before, look->time);
    look->site_bound = monitor_bound(each, look->before, look->time);
}

static struct result prepare(struct look *look, const json_t *terms, const json_t *progress,
                             struct why *why)
{
    look->policy = policy_of(terms);
    look->baseline = json_object_get(terms, "baseline");
    look->number = monitoring_looks_done(progress) + 1;
    TRY(monitor_policy_check(&look->policy, why));
    spend(look, progress, json_array_size(json_object_get(look->baseline, "sites")));
    return DONE;
}

static void judge_all(struct look *look, const json_t *progress, json_t **ret_bets)
{
    size_t i;
    json_t *now, *bets = json_deep_copy(json_object_get(progress, "bets"));
    if (!bets)
        bets = json_object();
    json_array_foreach(json_object_get(look->summary, "sites"), i, now)
    {
        const json_t *base = site_named(look->baseline, text_at(now, "name"));
        if (base && json_is_true(json_object_get(now, "used")))
            push_bet(look, base, now, bets);
    }
    judge_pooled(look, product(bets));
    json_array_foreach(json_object_get(look->summary, "sites"), i, now)
    {
        const json_t *base = site_named(look->baseline, text_at(now, "name"));
        if (base && json_is_true(json_object_get(now, "used")))
            judge_site(look, base, now);
    }
    *ret_bets = bets;
}

struct result monitoring_look(const json_t *terms, const json_t *progress, const json_t *summary,
                              uint32_t task, int64_t now_ms, json_t **ret_record,
                              enum monitor_severity *ret_severity, struct why *why)
{
    struct look look = {.summary = summary, .now_ms = now_ms};
    bool seen = !isnan(at(summary, "auroc"));
    json_t *bets = NULL, *next;
    *ret_record = NULL;
    *ret_severity = MONITOR_FINE;
    TRY(prepare(&look, terms, progress, why));
    look.findings = json_array();
    if (seen)
        judge_all(&look, progress, &bets);
    next = seen ? json_pack("{s:i, s:o, s:f, s:f, s:o}", "look", (int)look.number, "bets", bets,
                            "seen", look.seen, "time", look.spends ? look.time : look.before,
                            "epochs", epochs_of(&look, progress))
                : json_deep_copy(progress);
    json_t *o = json_object();
    json_object_set_new(o, "look", json_integer(seen ? look.number : 0));
    json_object_set_new(o, "task", json_integer(task));
    json_object_set_new(o, "ms", json_integer(now_ms));
    json_object_set_new(o, "severity",
                        json_string(seen ? monitor_severity_name(look.worst) : "unknown"));
    json_object_set_new(o, "deadline_ms", json_integer(look.deadline_ms));
    put(o, "auroc", at(summary, "auroc"));
    put(o, "variance", at(summary, "variance"));
    put(o, "bound", look.bound);
    json_object_set_new(o, "spends", json_boolean(seen && look.spends));
    put(o, "time", look.spends ? look.time : look.before);
    put(o, "labels", at(summary, "labels"));
    json_object_set_new(o, "findings", look.findings);
    json_object_set_new(o, "progress", next);
    *ret_record = o;
    *ret_severity = look.worst;
    return DONE;
}

struct result monitoring_text(const json_t *record, char **ret_text, struct why *why)
{
    *ret_text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(17));
    return *ret_text ? DONE : failed(why, RESULT_SYSTEM, "out of memory for a look's record");
}

void monitoring_words(const json_t *record, char *out, size_t n)
{
    size_t i;
    json_t *f;
    snprintf(out, n, "nothing was found");
    json_array_foreach(json_object_get(record, "findings"), i, f)
    {
        if (strcmp(text_at(f, "severity"), text_at(record, "severity")) != 0)
            continue;
        snprintf(out, n, "%s, %s: %s", text_at(f, "scope"), text_at(f, "rule"),
                 text_at(f, "words"));
        return;
    }
}
