/* SPDX-License-Identifier: Apache-2.0 */
/* The human part of a passport, read strictly: a forgotten warning is an error, not an empty one.
 */
#include "coordinator/human_part.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char *const TOP[] = {"model", "role", "clinical_risk_level", NULL};
static const char *const USE[] = {"text",       "population",   "users",
                                  "how_to_use", "out_of_scope", NULL};
static const char *const WARNINGS[] = {"risks", "biases", NULL};

static bool known(const char *key, const char *const *keys)
{
    while (*keys && strcmp(key, *keys) != 0)
        keys++;
    return *keys != NULL;
}

/* Every key of the list is a text; other keys are objects named in `objects`, or wrong. */
static struct result check_texts(const json_t *o, const char *where, const char *const *keys,
                                 const char *const *objects, struct why *why)
{
    const char *key;
    json_t *value, *all = (json_t *)(uintptr_t)o;
    if (!json_is_object(o))
        return failed(why, RESULT_INPUT, "%s is no JSON object", where);
    for (size_t i = 0; keys[i]; i++) {
        const char *text = json_string_value(json_object_get(o, keys[i]));
        if (!text || !text[0] || strlen(text) > HUMAN_TEXT_MAX)
            return failed(why, RESULT_INPUT, "%s needs '%s', a text of 1 to %d bytes", where,
                          keys[i], HUMAN_TEXT_MAX);
    }
    json_object_foreach(all, key, value)
    {
        if (!known(key, keys) && !known(key, objects))
            return failed(why, RESULT_INPUT, "%s has an unknown key '%.40s'", where, key);
    }
    return DONE;
}

static struct result check(const char *kind, const json_t *o, struct why *why)
{
    static const char *const NO_OBJECTS[] = {NULL};
    static const char *const OBJECTS[] = {"intended_use", "warnings", NULL};
    static const char *const LEVELS[] = {"low", "moderate", "high", NULL};
    TRY(check_texts(o, "the human part", TOP, OBJECTS, why));
    TRY(check_texts(json_object_get(o, "intended_use"), "'intended_use'", USE, NO_OBJECTS, why));
    TRY(check_texts(json_object_get(o, "warnings"), "'warnings'", WARNINGS, NO_OBJECTS, why));
    if (!known(json_string_value(json_object_get(o, "clinical_risk_level")), LEVELS))
        return failed(why, RESULT_INPUT, "'clinical_risk_level' is low, moderate or high");
    if (strcmp(kind + strlen(HUMAN_KIND), json_string_value(json_object_get(o, "model"))) != 0)
        return failed(why, RESULT_INPUT, "the human part is about another model");
    return DONE;
}

struct result human_part_check(const char *kind, const char *text, size_t n, struct why *why)
{
    json_error_t error;
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!o)
        return failed(why, RESULT_INPUT, "the human part is no JSON: line %d: %s", error.line,
                      error.text);
    struct result r = check(kind, o, why);
    json_decref(o);
    return r;
}
