/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the rules, by name, from text or from numbers; every list and number is bounded. */
#include "coordinator/aggregate/aggregate.h"
#include "proto/base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum param_type { PARAM_COUNT, PARAM_REAL, PARAM_WEIGHTS, PARAM_PERMUTATION, PARAM_POINT };

enum { NO_FLAG = 4096 };
#define AT(member) offsetof(struct agg_params, member)

/* Each parameter once: its type, where it lives, its bounds when a count (a real one is finite and
 * not negative, and above zero where least says so), and the flag that it was given. Without a flag
 * zero means "not given" and is refused. */
static const struct param {
    const char *name;
    enum param_type type;
    size_t offset;
    double least, most;
    size_t flag;
} PARAMS[] = {
    {"f", PARAM_COUNT, AT(f), 0, AGG_ROWS_MAX, AT(has_f)},
    {"m", PARAM_COUNT, AT(m), 1, AGG_ROWS_MAX, NO_FLAG},
    {"neighbours", PARAM_COUNT, AT(neighbours), 1, AGG_ROWS_MAX, NO_FLAG},
    {"T", PARAM_COUNT, AT(iterations), 0, AGG_ITERATIONS_MAX, AT(has_iterations)},
    {"L", PARAM_COUNT, AT(iterations), 0, AGG_ITERATIONS_MAX, AT(has_iterations)},
    {"s", PARAM_COUNT, AT(s), 1, AGG_ROWS_MAX, NO_FLAG},
    {"idx", PARAM_COUNT, AT(idx), 0, AGG_ROWS_MAX, NO_FLAG},
    {"nu", PARAM_REAL, AT(nu), 0, 0, AT(has_nu)},
    {"tau", PARAM_REAL, AT(tau), 0, 0, AT(has_tau)},
    {"c", PARAM_REAL, AT(c), 1, 0, NO_FLAG},
    {"trim_mass", PARAM_REAL, AT(trim_mass), 0, 0, AT(has_trim_mass)},
    {"alpha", PARAM_REAL, AT(alpha), 1, 0, NO_FLAG},
    {"filter_frac", PARAM_REAL, AT(filter_frac), 0, 0, AT(has_filter_frac)},
    {"w", PARAM_WEIGHTS, 0, 0, 0, NO_FLAG},
    {"perm", PARAM_PERMUTATION, 0, 0, 0, NO_FLAG},
    {"z0", PARAM_POINT, AT(z0), 0, 0, NO_FLAG},
    {"v0", PARAM_POINT, AT(v0), 0, 0, NO_FLAG},
    {"g0", PARAM_POINT, AT(g0), 0, 0, NO_FLAG},
};

static bool same_param(const char *table_name, const char *given)
{
    size_t i = 0;
    for (; table_name[i] && given[i]; i++) {
        char c = given[i] == '-' ? '_' : given[i];
        if (c != table_name[i])
            return false;
    }
    return table_name[i] == given[i];
}

static const struct param *find_param(const char *name)
{
    for (size_t i = 0; i < sizeof PARAMS / sizeof PARAMS[0]; i++)
        if (same_param(PARAMS[i].name, name))
            return &PARAMS[i];
    return NULL;
}

void agg_rule_free(struct agg_rule *rule)
{
    struct agg_params *p = &rule->params;
    free(p->perm);
    free(p->w);
    free(p->z0.values);
    free(p->v0.values);
    free(p->g0.values);
    memset(p, 0, sizeof *p);
}

void agg_rule_set_f(struct agg_rule *rule, size_t f)
{
    rule->params.f = f;
    rule->params.has_f = true;
}

static void note_given(struct agg_params *p, const struct param *param)
{
    if (param->flag != NO_FLAG)
        *(bool *)(void *)((char *)p + param->flag) = true;
}

static struct result set_count(struct agg_params *p, const struct param *param, double value,
                               struct why *why)
{
    if (!(value >= param->least && value <= param->most && value == floor(value)))
        return failed(why, RESULT_INPUT, "%s must be a whole number from %.0f to %.0f", param->name,
                      param->least, param->most);
    *(size_t *)(void *)((char *)p + param->offset) = (size_t)value;
    note_given(p, param);
    return DONE;
}

static struct result set_real(struct agg_params *p, const struct param *param, double value,
                              struct why *why)
{
    bool positive = param->least > 0.0;
    if (!(positive ? value > 0.0 : value >= 0.0) || !isfinite(value))
        return failed(why, RESULT_INPUT, "%s must be finite and %s", param->name,
                      positive ? "above zero" : "not negative");
    *(double *)(void *)((char *)p + param->offset) = value;
    note_given(p, param);
    return DONE;
}

static struct result copy_numbers(size_t count, const double *values, double **copy,
                                  struct why *why)
{
    *copy = malloc((count ? count : 1) * sizeof **copy);
    if (!*copy)
        return failed(why, RESULT_SYSTEM, "no memory for %zu numbers", count);
    memcpy(*copy, values, count * sizeof **copy);
    return DONE;
}

static struct result set_weights(struct agg_params *p, size_t count, const double *values,
                                 struct why *why)
{
    if (count == 0 || count > AGG_ROWS_MAX)
        return failed(why, RESULT_INPUT, "w must have 1 to %d entries", AGG_ROWS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!(values[i] >= 0.0) || !isfinite(values[i]))
            return failed(why, RESULT_INPUT, "weight %zu must be finite and not negative", i);
    double *copy = NULL;
    TRY(copy_numbers(count, values, &copy, why));
    free(p->w);
    p->w = copy;
    p->w_length = count;
    return DONE;
}

static struct result set_permutation(struct agg_params *p, size_t count, const double *values,
                                     struct why *why)
{
    if (count == 0 || count > AGG_ROWS_MAX)
        return failed(why, RESULT_INPUT, "perm must have 1 to %d entries", AGG_ROWS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!(values[i] >= 0.0 && values[i] < AGG_ROWS_MAX && values[i] == floor(values[i])))
            return failed(why, RESULT_INPUT, "entry %zu of perm is not a row number", i);
    uint32_t *copy = calloc(count, sizeof *copy);
    if (!copy)
        return failed(why, RESULT_SYSTEM, "no memory for the permutation");
    for (size_t i = 0; i < count; i++)
        copy[i] = (uint32_t)values[i];
    free(p->perm);
    p->perm = copy;
    p->perm_length = count;
    return DONE;
}

static struct result set_point(struct agg_params *p, const struct param *param, size_t count,
                               const double *values, struct why *why)
{
    struct agg_point *point = (struct agg_point *)(void *)((char *)p + param->offset);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return failed(why, RESULT_INPUT, "coordinate %zu of %s is not finite", i, param->name);
    double *copy = NULL;
    TRY(copy_numbers(count, values, &copy, why));
    free(point->values);
    *point = (struct agg_point){.kind = AGG_POINT_GIVEN, .values = copy, .length = count};
    return DONE;
}

struct result agg_rule_set_numbers(struct agg_rule *rule, const char *name, size_t count,
                                   const double *values, struct why *why)
{
    const struct param *param = find_param(name);
    if (!param)
        return failed(why, RESULT_INPUT,
                      "no rule has a parameter '%.40s'; 'consilium aggregate --list' shows them",
                      name);
    if (count > AGG_COORDINATES_MAX)
        return failed(why, RESULT_INPUT, "%s has too many entries", param->name);
    struct agg_params *p = &rule->params;
    switch (param->type) {
    case PARAM_COUNT:
    case PARAM_REAL:
        if (count != 1)
            return failed(why, RESULT_INPUT, "%s is one number", param->name);
        return param->type == PARAM_COUNT ? set_count(p, param, values[0], why)
                                          : set_real(p, param, values[0], why);
    case PARAM_WEIGHTS:
        return set_weights(p, count, values, why);
    case PARAM_PERMUTATION:
        return set_permutation(p, count, values, why);
    case PARAM_POINT:
        return set_point(p, param, count, values, why);
    }
    return failed(why, RESULT_INPUT, "no parameter '%.40s'", name);
}

/* Numbers separated by commas or blanks; brackets around them are allowed. */
static struct result parse_list(const char *name, const char *text, double **values, size_t *count,
                                struct why *why)
{
    size_t length = strlen(text);
    size_t commas = 1;
    for (size_t i = 0; i < length; i++)
        commas += text[i] == ',' || text[i] == ' ';
    CLEANUP(free_pointer) double *list = malloc(commas * sizeof *list);
    if (!list)
        return failed(why, RESULT_SYSTEM, "no memory for %s", name);
    size_t used = 0;
    const char *at = text;
    for (;;) {
        at += strspn(at, ", []\t\n");
        if (!*at)
            break;
        char *end = NULL;
        errno = 0;
        double value = strtod(at, &end);
        if (end == at || used == commas || (*end && !strchr(", ]\t\n", *end)))
            return failed(why, RESULT_INPUT, "%s: '%.*s' is not a number", name,
                          (int)(strcspn(at, ", ]") < 20 ? strcspn(at, ", ]") : 20), at);
        list[used++] = value;
        at = end;
    }
    *values = TAKE(list);
    *count = used;
    return DONE;
}

static bool parse_named_point(const char *text, struct agg_point *point)
{
    static const struct {
        const char *name;
        enum agg_point_kind kind;
    } NAMES[] = {{"zero", AGG_POINT_ZERO},
                 {"mean", AGG_POINT_MEAN},
                 {"medoid", AGG_POINT_MEDOID},
                 {"majority", AGG_POINT_MAJORITY}};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (strcmp(text, NAMES[i].name) == 0) {
            free(point->values);
            *point = (struct agg_point){.kind = NAMES[i].kind};
            return true;
        }
    }
    if (strncmp(text, "row:", 4) != 0)
        return false;
    char *end = NULL;
    unsigned long row = strtoul(text + 4, &end, 10);
    if (end == text + 4 || *end || row >= AGG_ROWS_MAX)
        return false;
    free(point->values);
    *point = (struct agg_point){.kind = AGG_POINT_ROW, .row = row};
    return true;
}

struct result agg_rule_set(struct agg_rule *rule, const char *name, const char *text,
                           struct why *why)
{
    const struct param *param = find_param(name);
    if (!param)
        return failed(why, RESULT_INPUT,
                      "no rule has a parameter '%.40s'; 'consilium aggregate --list' shows them",
                      name);
    if (param->type == PARAM_POINT) {
        struct agg_point *point =
            (struct agg_point *)(void *)((char *)&rule->params + param->offset);
        if (parse_named_point(text, point))
            return DONE;
    }
    CLEANUP(free_pointer) double *values = NULL;
    size_t count = 0;
    TRY(parse_list(param->name, text, &values, &count, why));
    if (count == 0)
        return failed(why, RESULT_INPUT, "%s has no value", param->name);
    return agg_rule_set_numbers(rule, name, count, values, why);
}
