/* SPDX-License-Identifier: Apache-2.0 */
/* The gate before any rule. */
#include "coordinator/aggregate/admit.h"

#include "coordinator/aggregate/finite.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void admit_window(const struct admit_policy *policy, double median_norm, double *low, double *high)
{
    /* e^-18 is the probability that an honest update falls outside either bound. */
    const double t = 18.0;
    *low = 0.0;
    *high = INFINITY;
    if (policy->has_noise && policy->sigma > 0.0) {
        double d = (double)policy->d;
        double s = policy->signal / policy->sigma * (policy->signal / policy->sigma);
        double unit = policy->sigma * policy->sigma;
        *low = unit * fmax(0.0, d - 2.0 * sqrt(t * d));
        *high = unit * (d + s + 2.0 * sqrt(t * (d + 2.0 * s)) + 2.0 * t) *
                (1.0 + 1.25 * policy->codec_nmse);
    } else if (median_norm > 0.0 && policy->norm_factor > 0.0) {
        double most = policy->norm_factor * median_norm;
        *high = most * most;
    }
    if (policy->max_norm > 0.0)
        *high = fmin(*high, policy->max_norm * policy->max_norm);
}

static void say(struct why *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct why *reason, const char *format, ...)
{
    if (!reason)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(reason->text, sizeof reason->text, format, args);
    va_end(args);
}

static enum admit_verdict judge_norm(const struct admit_policy *policy,
                                     const struct admit_facts *facts, double median_norm,
                                     struct why *reason)
{
    double low = 0.0;
    double high = 0.0;
    admit_window(policy, median_norm, &low, &high);
    if (!(facts->squared_norm <= high)) {
        say(reason, "norm %.6g is above %.6g, the largest that %s allows",
            sqrt(facts->squared_norm), sqrt(high),
            policy->has_noise ? "the privacy noise" : "the last round's median");
        return ADMIT_NORM_HIGH;
    }
    if (facts->squared_norm < low) {
        say(reason, "norm %.6g is below %.6g: the update does not carry its privacy noise",
            sqrt(facts->squared_norm), sqrt(low));
        return ADMIT_NORM_LOW;
    }
    return ADMIT_ACCEPTED;
}

enum admit_verdict admit_judge(const struct admit_policy *policy, const struct admit_facts *facts,
                               double median_norm, struct why *reason)
{
    if (facts->round != policy->round) {
        say(reason, "the update is for round %" PRIu64 ", this is round %" PRIu64, facts->round,
            policy->round);
        return ADMIT_STALE;
    }
    if (memcmp(facts->base, policy->base, ADMIT_HASH_BYTES) != 0) {
        say(reason, "the update starts from another model than round %" PRIu64 " does",
            policy->round);
        return ADMIT_STALE;
    }
    if (facts->repeated) {
        say(reason, "the site already has an update in round %" PRIu64, policy->round);
        return ADMIT_REPEATED;
    }
    if (facts->d != policy->d) {
        say(reason, "the update has %zu coordinates, the model %zu", facts->d, policy->d);
        return ADMIT_SHAPE;
    }
    if (facts->first_bad < facts->d || !isfinite(facts->squared_norm)) {
        say(reason, "coordinate %zu is not finite", facts->first_bad);
        return ADMIT_NOT_FINITE;
    }
    return judge_norm(policy, facts, median_norm, reason);
}

struct result admit_measure(const struct agg_source *source, size_t row, struct admit_facts *facts,
                            struct why *why)
{
    float decoded[AGG_BLOCK];
    facts->d = source->d;
    facts->first_bad = source->d;
    facts->squared_norm = 0.0;
    for (size_t first = 0; first < source->d; first += AGG_BLOCK) {
        size_t count = source->d - first < AGG_BLOCK ? source->d - first : AGG_BLOCK;
        const float *x = decoded;
        if (source->rows)
            x = source->rows[row] + first;
        else if (!source->decode(source->context, row, first, count, decoded))
            return failed(why, RESULT_INPUT, "row %zu does not decode", row);
        size_t bad = finite_first_bad_f32(count, x);
        if (bad < count) {
            facts->first_bad = first + bad;
            facts->squared_norm = (double)NAN;
            return DONE;
        }
        double sum = 0.0;
        for (size_t c = 0; c < count; c++)
            sum += (double)x[c] * (double)x[c];
        facts->squared_norm += sum;
    }
    return DONE;
}

struct result admit_close(const struct agg_rule *rule, size_t expected, size_t malformed,
                          size_t missing, size_t f, size_t *ret_n, size_t *ret_f, struct why *why)
{
    char name[AGG_NAME_BYTES];
    agg_rule_name(rule, name, sizeof name);
    if (malformed + missing >= expected)
        return failed(why, RESULT_REFUSED, "no update is left for '%s'", name);
    *ret_n = expected - malformed - missing;
    *ret_f = f > malformed ? f - malformed : 0;
    if (2 * *ret_f >= *ret_n)
        return failed(why, RESULT_REFUSED,
                      "%zu updates are left and %zu of them may be hostile: no rule can stand that",
                      *ret_n, *ret_f);
    size_t n = *ret_n;
    for (int i = 0; i < rule->stages; i++) {
        size_t s = rule->params.s ? rule->params.s : 1;
        TRY(agg_descriptor_check(&AGG_RULES[rule->stage[i]], n, *ret_f, s, why));
        if (rule->stage[i] == AGG_BUCKETING)
            n = (n + s - 1) / s;
    }
    return DONE;
}
