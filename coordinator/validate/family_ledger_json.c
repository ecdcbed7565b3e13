/* SPDX-License-Identifier: Apache-2.0 */
/* The family ledger and its policy as JSON text, and back with every limit checked. */
#include "coordinator/validate/family_ledger.h"
#include "proto/base/cleanup.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_int_t MICRO = 1000000;

json_t *ledger_policy_json(const struct ledger_policy *p)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:i, s:i}", "policy",
                     p->used ? alpha_policy_name(p->kind) : "off", "alpha_micro",
                     (json_int_t)p->alpha_total, "cap_micro", (json_int_t)p->alpha_cap,
                     "factor_micro", (json_int_t)p->use_factor, "window", (int)p->window, "wait",
                     (int)p->max_wait);
}

static struct result whole(const json_t *value, const char *key, json_int_t most, int64_t *out,
                           struct why *why)
{
    *out = json_integer_value(value);
    if (!json_is_integer(value) || *out < 0 || *out > most)
        return failed(why, RESULT_INPUT, "the ledger's '%s' is a whole number up to %lld", key,
                      (long long)most);
    return DONE;
}

static struct result policy_key(const char *key, const json_t *value, struct ledger_policy *p,
                                struct why *why)
{
    int64_t number;
    if (strcmp(key, "policy") == 0)
        return DONE;
    if (strcmp(key, "alpha_micro") == 0)
        return whole(value, key, MICRO, &p->alpha_total, why);
    if (strcmp(key, "cap_micro") == 0)
        return whole(value, key, MICRO, &p->alpha_cap, why);
    if (strcmp(key, "factor_micro") == 0)
        return whole(value, key, 10 * MICRO, &p->use_factor, why);
    if (strcmp(key, "window") != 0 && strcmp(key, "wait") != 0)
        return failed(why, RESULT_INPUT,
                      "the ledger has no '%.40s': policy, alpha_micro, cap_micro, factor_micro, "
                      "window, wait",
                      key);
    TRY(whole(value, key, LEDGER_MODELS_MAX, &number, why));
    *(strcmp(key, "window") == 0 ? &p->window : &p->max_wait) = (unsigned)number;
    return DONE;
}

struct result ledger_policy_parse(const json_t *o, struct ledger_policy *policy, struct why *why)
{
    enum alpha_policy kind = ALPHA_FIXED;
    const char *name = json_string_value(json_object_get(o, "policy")), *key;
    json_t *value;
    if (!name || (strcmp(name, "off") != 0 && !alpha_policy_from_name(name, &kind)))
        return failed(why, RESULT_INPUT,
                      "the ledger's policy is one of off, fixed, reset, bac, babr");
    *policy = ledger_policy_default(kind);
    policy->used = strcmp(name, "off") != 0;
    json_t *all = (json_t *)(uintptr_t)o;
    json_object_foreach(all, key, value) TRY(policy_key(key, value, policy, why));
    return ledger_policy_check(policy, why);
}

static json_t *look_json(const struct ledger_look *look)
{
    json_t *against = json_array(), *information = json_array();
    for (unsigned c = 0; c < look->count; c++) {
        json_array_append_new(against, json_integer(look->against[c]));
        json_array_append_new(information, json_real(look->information[c]));
    }
    return json_pack("{s:o, s:o}", "against", against, "information", information);
}

static json_t *model_json(const struct family_ledger *l, const struct ledger_model *m)
{
    char hash[2 * LEDGER_HASH_BYTES + 1];
    json_t *looks = json_array(), *epochs = json_array();
    sodium_bin2hex(hash, sizeof hash, m->hash, LEDGER_HASH_BYTES);
    for (unsigned k = 0; k < m->looks && k < LEDGER_LOOKS_MAX; k++)
        json_array_append_new(looks, look_json(&m->look[k]));
    for (unsigned s = 0; s < l->sites; s++)
        json_array_append_new(epochs, json_integer((json_int_t)m->epoch[s]));
    return json_pack("{s:s, s:I, s:I, s:i, s:i, s:b, s:b, s:b, s:o, s:o}", "model", hash, "alpha",
                     (json_int_t)m->alpha, "bench_alpha", (json_int_t)m->bench_alpha, "in_use_then",
                     (int)m->in_use_then, "bench_then", (int)m->bench_then, "in_use_once",
                     m->in_use_once, "beats_benchmark", m->beats_benchmark, "bench_new",
                     m->bench_new, "looks", looks, "epochs", epochs);
}

struct result family_ledger_text(const struct family_ledger *l, char **text, struct why *why)
{
    json_t *sites = json_array(), *models = json_array();
    for (unsigned s = 0; s < l->sites; s++)
        json_array_append_new(sites, json_string_nocheck(l->site[s]));
    for (unsigned i = 0; i < l->models; i++)
        json_array_append_new(models, model_json(l, &l->model[i]));
    json_t *o =
        json_pack("{s:o, s:I, s:i, s:i, s:i, s:o, s:o}", "policy", ledger_policy_json(&l->policy),
                  "spent", (json_int_t)l->spent, "tries", (int)l->tries, "in_use", (int)l->in_use,
                  "benchmark", (int)l->benchmark, "sites", sites, "models", models);
    *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(o);
    return *text ? DONE : failed(why, RESULT_SYSTEM, "no memory for the alpha ledger");
}

static bool read_index(const json_t *o, const char *key, json_int_t most, unsigned *out)
{
    json_int_t value = json_integer_value(json_object_get(o, key));
    *out = (unsigned)value;
    return value >= 0 && value <= most;
}

static bool read_look(const json_t *o, unsigned models, struct ledger_look *look)
{
    const json_t *against = json_object_get(o, "against");
    const json_t *information = json_object_get(o, "information");
    size_t n = json_array_size(against);
    if (n > LEDGER_COMPARATORS_MAX || json_array_size(information) != n)
        return false;
    look->count = (unsigned)n;
    for (size_t c = 0; c < n; c++) {
        json_int_t index = json_integer_value(json_array_get(against, c));
        look->against[c] = (unsigned)index;
        look->information[c] = json_number_value(json_array_get(information, c));
        if (index < 0 || index >= (json_int_t)models || !(look->information[c] > 0.0))
            return false;
    }
    return true;
}

static bool read_model(const json_t *o, const struct family_ledger *l, struct ledger_model *m)
{
    size_t n = 0;
    const char *hash = json_string_value(json_object_get(o, "model"));
    const json_t *looks = json_object_get(o, "looks"), *epochs = json_object_get(o, "epochs");
    m->alpha = json_integer_value(json_object_get(o, "alpha"));
    m->bench_alpha = json_integer_value(json_object_get(o, "bench_alpha"));
    m->in_use_once = json_is_true(json_object_get(o, "in_use_once"));
    m->beats_benchmark = json_is_true(json_object_get(o, "beats_benchmark"));
    m->bench_new = json_is_true(json_object_get(o, "bench_new"));
    m->looks = (unsigned)json_array_size(looks);
    if (!hash || sodium_hex2bin(m->hash, sizeof m->hash, hash, strlen(hash), NULL, &n, NULL) != 0 ||
        n != sizeof m->hash || json_array_size(looks) > LEDGER_LOOKS_MAX || m->alpha < 0 ||
        m->alpha > MICRO || m->bench_alpha < 0 || m->bench_alpha > MICRO ||
        !read_index(o, "in_use_then", LEDGER_MODELS_MAX - 1, &m->in_use_then) ||
        !read_index(o, "bench_then", LEDGER_MODELS_MAX - 1, &m->bench_then) ||
        json_array_size(epochs) != l->sites)
        return false;
    for (unsigned k = 0; k < m->looks; k++)
        if (!read_look(json_array_get(looks, k), l->models, &m->look[k]))
            return false;
    for (unsigned s = 0; s < l->sites; s++)
        m->epoch[s] = (uint64_t)json_integer_value(json_array_get(epochs, s));
    return true;
}

static bool read_ledger(const json_t *o, struct family_ledger *l)
{
    const json_t *sites = json_object_get(o, "sites"), *models = json_object_get(o, "models");
    size_t n_sites = json_array_size(sites), n_models = json_array_size(models);
    if (n_sites > LEDGER_SITES_MAX || n_models > LEDGER_MODELS_MAX)
        return false;
    l->sites = (unsigned)n_sites;
    l->models = (unsigned)n_models;
    l->spent = json_integer_value(json_object_get(o, "spent"));
    for (unsigned s = 0; s < l->sites; s++) {
        const char *name = json_string_value(json_array_get(sites, s));
        if (!name || strlen(name) >= LEDGER_NAME_BYTES)
            return false;
        snprintf(l->site[s], LEDGER_NAME_BYTES, "%s", name);
    }
    for (unsigned i = 0; i < l->models; i++)
        if (!read_model(json_array_get(models, i), l, &l->model[i]))
            return false;
    return l->spent >= 0 && read_index(o, "tries", 1 << 30, &l->tries) &&
           read_index(o, "in_use", LEDGER_MODELS_MAX - 1, &l->in_use) &&
           read_index(o, "benchmark", LEDGER_MODELS_MAX - 1, &l->benchmark);
}

struct result family_ledger_read(const char *text, size_t n, struct family_ledger *ledger,
                                 struct why *why)
{
    memset(ledger, 0, sizeof *ledger);
    json_t *o = n <= LEDGER_TEXT_MAX ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    struct result r = json_is_object(o)
                          ? ledger_policy_parse(json_object_get(o, "policy"), &ledger->policy, why)
                          : failed(why, RESULT_INPUT, "no JSON object");
    if (ok(r) && !read_ledger(o, ledger))
        r = failed(why, RESULT_INPUT, "a number or a list is out of its bounds");
    json_decref(o);
    return ok(r) ? r : failed_in(why, r, "the alpha ledger is damaged");
}
