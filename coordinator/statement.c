/* SPDX-License-Identifier: Apache-2.0 */
/* The statement's lines from the plan, its cost, and the grid of its releases. */
#include "coordinator/statement.h"

#include "coordinator/entry.h"
#include "privacy/clip.h"
#include "privacy/release_grid.h"
#include "proto/base/json.h"
#include "proto/plan_model.h"
#include "proto/plan_privacy.h"

#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct facts {
    const struct plan *plan;
    uint64_t patients;
    struct plan_cost cost;
    struct release_grid grid;
    struct event_list events; /* with the effective noise: what the ledger is charged */
};

/* The grid is that of a site's own noise; what is accounted for is the noise of a whole sum. */
static int make_grid(struct facts *f, size_t parameters)
{
    double noise = f->cost.noise_multiplier;
    int bad = release_grid_init(&f->grid, f->plan->privacy.clip_norm,
                                plan_noise_share(f->plan, noise), parameters, CLIP_SLOT_ROWS_MAX);
    if (f->plan->aggregation.secure)
        f->grid.effective_noise = noise / (1.0 + f->grid.slack);
    return bad;
}

static struct result gather(struct facts *f, struct why *why)
{
    const struct plan *plan = f->plan;
    struct model model;
    if (plan->privacy.mode == PRIVACY_NONE)
        return failed(why, RESULT_INPUT,
                      "the plan promises patients nothing: privacy mode is none");
    TRY(plan_build_model(plan, &model, why));
    TRY(plan_cost(plan, f->patients, &f->cost, why));
    if (make_grid(f, model.parameters) != 0)
        return failed(why, RESULT_INPUT, "the plan's clip norm or noise is out of range");
    if (plan->privacy.noise_multiplier <= 0.0) { /* as each site does: rounding is paid for */
        f->cost.noise_multiplier *= f->cost.noise_multiplier / f->grid.effective_noise;
        if (make_grid(f, model.parameters) != 0)
            return failed(why, RESULT_INPUT, "the plan's noise is out of range");
    }
    TRY(plan_events(plan, f->patients, f->grid.effective_noise, &f->events, why));
    const struct privacy_event rounding = {.kind = EVENT_EPSILON_DELTA,
                                           .steps = 1,
                                           .delta = plan_noise_delta(plan, model.parameters)};
    if (rounding.delta > 0.0 && event_list_add(&f->events, &rounding) != 0)
        return failed(why, RESULT_INPUT, "the plan has more privacy events than fit");
    return DONE;
}

static void put(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, json_string_nocheck(text));
}

static void put_number(json_t *o, const char *key, double value)
{
    json_object_set_new(o, key, number_or_null(value));
}

static void put_sampling(json_t *o, const struct facts *f)
{
    const struct plan_privacy *p = &f->plan->privacy;
    char text[32];
    put_number(o, "sampling_rate", p->sampling_rate);
    if (p->sampling_rate >= 1.0)
        snprintf(text, sizeof text, "2^64");
    else
        snprintf(text, sizeof text, "%" PRIu64, (uint64_t)ldexp(p->sampling_rate, 64));
    put(o, "sampling_threshold", text);
    put_number(o, "noise_multiplier", f->cost.noise_multiplier);
    put_number(o, "effective_noise", f->grid.effective_noise);
    put_number(o, "noise_share_of_a_site", plan_noise_share(f->plan, f->cost.noise_multiplier));
    put_number(o, "rounding_slack", f->grid.slack);
    put_number(o, "clip_norm", p->clip_norm);
    json_object_set_new(o, "steps", json_integer((json_int_t)f->cost.steps));
    put_number(o, "lot", plan_lot(f->plan, f->patients));
    json_object_set_new(o, "declared_patients", json_integer((json_int_t)f->patients));
    json_object_set_new(o, "max_rows_per_patient", json_integer(p->max_rows_per_patient));
}

static double epsilon_at(const struct event_list *events, double delta)
{
    struct accountant_bound bound;
    return accountant_epsilon(events, delta, NULL, &bound) == ACCOUNTANT_OK ? bound.upper
                                                                            : (double)NAN;
}

/* A patient seen at two sites composes both: every event twice. */
static double epsilon_at_two_sites(const struct facts *f)
{
    struct event_list *twice = malloc(sizeof *twice);
    double epsilon = (double)NAN;
    if (twice) {
        *twice = f->events;
        for (size_t i = 0; i < twice->count; i++)
            twice->events[i].steps *= 2;
        epsilon = epsilon_at(twice, f->plan->privacy.delta);
    }
    free(twice);
    return epsilon;
}

static void put_epsilon(json_t *o, const struct facts *f)
{
    struct accountant_bound bound = {0};
    double delta = f->plan->privacy.delta;
    bool good = accountant_epsilon(&f->events, delta, NULL, &bound) == ACCOUNTANT_OK;
    put_number(o, "delta", delta);
    put_number(o, "epsilon_upper", good ? bound.upper : (double)NAN);
    put_number(o, "epsilon_lower", good ? bound.lower : (double)NAN);
    put_number(o, "epsilon_renyi", good ? bound.renyi : (double)NAN);
    put_number(o, "grid", good ? bound.grid : (double)NAN);
    put_number(o, "epsilon_at_delta_1e-5", epsilon_at(&f->events, 1e-5));
    put_number(o, "epsilon_at_delta_1e-9", epsilon_at(&f->events, 1e-9));
    put_number(o, "epsilon_at_two_sites", epsilon_at_two_sites(f));
}

static void put_events(json_t *o, const struct facts *f)
{
    char text[8192] = "", hash[HEX_HASH_BYTES];
    unsigned char digest[PLAN_HASH_BYTES];
    if (event_list_text(&f->events, text, sizeof text) < 0)
        snprintf(text, sizeof text, "more events than fit here");
    crypto_generichash(digest, sizeof digest, (const unsigned char *)text, strlen(text), NULL, 0);
    hex_hash(hash, digest);
    put(o, "events", text);
    put(o, "events_hash", hash);
    put(o, "accountant", STATEMENT_ACCOUNTANT);
}

static void put_others(json_t *o, const struct facts *f)
{
    const struct plan_privacy *p = &f->plan->privacy;
    char text[256];
    put(o, "filter",
        "Renyi filter across studies, at one fixed order that each site's ledger takes with its "
        "first charge; order and balance are the site's own (consilium-agent budget)");
    if (p->metrics_noise > 0.0)
        snprintf(text, sizeof text,
                 "%" PRIu64
                 " score histograms, discrete Laplace noise of deviation %g, in the events above",
                 f->cost.evaluations, p->metrics_noise);
    else
        snprintf(text, sizeof text, "none");
    put(o, "charged_side_releases", text);
    put(o, "uncharged",
        "constants of the plan or of the hospital's choice: declared patients, sizes, slots and "
        "deadlines, normalisation by public ranges; a keyed hash that tells whether data changed");
    put(o, "tuning",
        "settings are the plan's and public; each study that tries other settings is charged "
        "whole");
    put(o, "not_covered",
        p->metrics_noise > 0.0
            ? "a patient seen at more sites than stated; facts true of a whole site"
            : "a patient seen at more sites than stated; facts true of a whole site; evaluations "
              "in threshold mode, which are bounded by the site's policy but not private");
}

struct result statement_of_plan(const struct plan *plan, uint64_t patients, json_t **ret_statement,
                                struct why *why)
{
    char hash[HEX_HASH_BYTES];
    *ret_statement = NULL;
    struct facts *f = calloc(1, sizeof *f);
    if (!f)
        return failed(why, RESULT_SYSTEM, "out of memory for a privacy statement");
    *f = (struct facts){.plan = plan, .patients = patients};
    struct result r = gather(f, why);
    json_t *o = ok(r) ? json_object() : NULL;
    if (o) {
        hex_hash(hash, plan->hash);
        put(o, "study", plan->study);
        put(o, "plan_hash", hash);
        put(o, "unit", "patient: all rows of one patient at one site");
        put(o, "adjacency", "add or remove one patient");
        json_object_set_new(o, "max_sites_per_patient",
                            json_integer(plan->privacy.max_sites_per_patient));
        put(o, "against",
            plan->aggregation.secure
                ? "the world, and a coordinator with as many of the sites as the plan's "
                  "secure_colluders, as far as its roster names real sites: each site adds its "
                  "share of the noise and only sums are seen"
                : "the coordinator, every other site and the world together: each site adds all of "
                  "its noise");
        if (plan->aggregation.secure)
            put_number(o, "noise_share", plan_noise_share(plan, f->cost.noise_multiplier));
        put_sampling(o, f);
        put_epsilon(o, f);
        put_events(o, f);
        put_others(o, f);
        statement_add_findings(o, NULL, -1, 0);
    }
    free(f);
    *ret_statement = o;
    return r;
}

json_t *statement_of_study(const struct plan *plan, const struct study *study)
{
    uint64_t fewest = 0;
    json_t *statement = NULL;
    for (uint32_t i = 0; i < study->members_count; i++) {
        uint64_t declared = study->members[i].declared_patients;
        if (declared > 0 && (fewest == 0 || declared < fewest))
            fewest = declared;
    }
    if (plan->privacy.mode == PRIVACY_NONE || fewest == 0 ||
        !ok(statement_of_plan(plan, fewest, &statement, NULL)))
        return NULL;
    return statement;
}

void statement_add_findings(json_t *statement, const json_t *audit, long long looked,
                            long long flagged)
{
    char text[256];
    if (audit)
        json_object_set(statement, "audited", (json_t *)(uintptr_t)audit);
    else
        put(statement, "audited", "not run (consilium privacy audit-run)");
    if (looked < 0)
        snprintf(text, sizeof text, "not run");
    else
        snprintf(text, sizeof text, "%lld updates looked at, %lld flagged", looked, flagged);
    put(statement, "noise_floor", text);
}

void statement_print(FILE *out, const json_t *statement)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)statement, key, value)
    {
        if (json_is_string(value)) {
            fprintf(out, "%-22s %s\n", key, json_string_value(value));
        } else if (json_is_integer(value)) {
            fprintf(out, "%-22s %lld\n", key, (long long)json_integer_value(value));
        } else if (json_is_real(value)) {
            fprintf(out, "%-22s %.8g\n", key, json_real_value(value));
        } else {
            char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
            fprintf(out, "%-22s %s\n", key, text ? text : "");
            free(text);
        }
    }
}
