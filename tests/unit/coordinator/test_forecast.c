/* SPDX-License-Identifier: Apache-2.0 */
/* plan check warns of hostile sites that hide in the noise where that was seen to cost accuracy,
 * and only there. */
#include "coordinator/forecast.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A shipped plan with one hostile site expected and these further lines under its aggregation; one
 * that expects it by itself stays as it is. */
static struct forecast foresee(const char *name, double epsilon, const char *more,
                               uint64_t patients)
{
    char path[1024];
    char text[16384];
    struct plan plan;
    struct forecast forecast;
    struct why why;
    char *from = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/../../deploy/plans/%s.yaml", getenv("CONSILIUM_VECTORS"), name);
    if (!ok(plan_load(&plan, path, &from, &n, &why)))
        fail_msg("%s", why.text);
    plan_free(&plan);
    static const char RULE[] = "  rule: weighted-mean\n";
    char *rule = strstr(from, RULE);
    if (rule)
        *rule = '\0';
    else
        assert_non_null(strstr(from, "byzantine: 1"));
    snprintf(text, sizeof text, "%s%s%s%s", from,
             rule ? "  rule: nnm+trimmed-mean\n  byzantine: 1\n" : "", more,
             rule ? rule + strlen(RULE) : "");
    free(from);
    if (!ok(plan_parse(&plan, name, text, strlen(text), &why)))
        fail_msg("%s", why.text);
    plan.privacy.epsilon = epsilon;
    if (!ok(forecast_plan(&plan, patients, &forecast, &why)))
        fail_msg("%s", why.text);
    plan_free(&plan);
    return forecast;
}

static bool warns(const struct forecast *f)
{
    for (size_t i = 0; i < f->warnings_count; i++)
        if (strstr(f->warnings[i].text, "hide in the noise"))
            return true;
    return false;
}

static void hidden_in_the_noise(void **state)
{
    (void)state;
    struct forecast f = foresee("tbi-private", 2.0, "", 100);
    double expected = f.cost.noise_multiplier * 3.0 * sqrt(12.0) / 100.0 / 11.0;
    assert_true(fabs(f.hidden_shift / expected - 1.0) < 0.1);
    assert_true(warns(&f));
    assert_true(f.update_bytes < 400); /* twelve coordinates go as they are, not in a block */
    struct forecast large = foresee("tbi-private", 2.0, "", 1000);
    assert_true(!warns(&large) && large.hidden_shift < f.hidden_shift / 9.0);
    struct forecast calm = foresee("tbi-private", 2.0, "  site_momentum: 0.9\n", 100);
    assert_true(!warns(&calm) && calm.hidden_shift < f.hidden_shift / 4.0);
    struct forecast twenty = foresee("stroke-private", 2.0, "", 580);
    assert_true(warns(&twenty));
    /* Few rounds and a short clip norm: what the evidence on stroke rests on. */
    struct forecast six = foresee("stroke-robust", 2.0, "", 580);
    assert_true(!warns(&six) && six.hidden_shift < 0.4 * twenty.hidden_shift);
    struct forecast strict = foresee("stroke-robust", 0.5, "", 580);
    assert_true(warns(&strict));
}

static void nothing_without_noise(void **state)
{
    (void)state;
    struct forecast f = foresee("tbi", 0.0, "", 100);
    assert_true(f.hidden_shift == 0.0 && !warns(&f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hidden_in_the_noise),
                                       cmocka_unit_test(nothing_without_noise)};
    return cmocka_run_group_tests_name("forecast", tests, NULL, NULL);
}
