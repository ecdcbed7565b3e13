/* SPDX-License-Identifier: Apache-2.0 */
/* A model's stages, monitoring rules, incident clocks and the change plan. */
#include "coordinator/validate/incident.h"
#include "coordinator/validate/monitor.h"
#include "coordinator/validate/pccp.h"
#include "coordinator/validate/stage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const int64_t DAY = INT64_C(24) * 3600 * 1000;

static enum result_code step(struct model_stage *m, struct stage_event event)
{
    struct stage_policy policy = stage_policy_default();
    struct model_stage before = *m;
    struct why why;
    struct result r = stage_step(m, &policy, &event, &why);
    if (!ok(r))
        assert_memory_equal(m, &before, sizeof before);
    return r.code;
}

static void a_model_comes_into_use(void **state)
{
    (void)state;
    struct model_stage m;
    stage_init(&m, DAY);
    struct stage_event go = {.kind = STAGE_EVENT_ADVANCE,
                             .now_ms = DAY,
                             .decision = GATE_HOLD,
                             .reason = "plan"};
    assert_int_equal(step(&m, go), RESULT_OK);
    assert_int_equal(m.stage, STAGE_SHADOW);
    go.now_ms = 20 * DAY;
    assert_int_equal(step(&m, go), RESULT_REFUSED); /* HOLD */
    go.decision = GATE_PROMOTE;
    go.signatures = 1;
    assert_int_equal(step(&m, go), RESULT_REFUSED);
    go.signatures = 2;
    go.now_ms = 3 * DAY;
    assert_int_equal(step(&m, go), RESULT_AGAIN);
    go.now_ms = 15 * DAY;
    assert_int_equal(step(&m, go), RESULT_OK);
    assert_int_equal(m.stage, STAGE_PILOT);
    go.now_ms = 43 * DAY - 1;
    assert_int_equal(step(&m, go), RESULT_AGAIN);
    go.now_ms = 43 * DAY;
    assert_int_equal(step(&m, go), RESULT_OK);
    assert_int_equal(m.stage, STAGE_PROMOTED);
    assert_int_equal(step(&m, go), RESULT_REFUSED);
    go.kind = STAGE_EVENT_SUSPEND;
    go.now_ms = DAY;
    assert_int_equal(step(&m, go), RESULT_REFUSED); /* older than the last move */
    go.now_ms = 50 * DAY;
    go.signatures = 0;
    assert_int_equal(step(&m, go), RESULT_OK);
    go.kind = STAGE_EVENT_RESUME;
    assert_int_equal(step(&m, go), RESULT_REFUSED);
    go.signatures = 1;
    assert_int_equal(step(&m, go), RESULT_OK);
    assert_int_equal(m.stage, STAGE_SHADOW);
}

static void rollback_is_all_or_nothing(void **state)
{
    (void)state;
    struct stage_policy policy = stage_policy_default();
    struct model_stage now = {.stage = STAGE_PROMOTED, .since_ms = 10};
    struct model_stage old = {.stage = STAGE_RETIRED, .since_ms = 10};
    struct why why;
    assert_false(ok(stage_rollback(&now, &old, false, &policy, "bad", 20, 1, &why)));
    assert_false(ok(stage_rollback(&now, &old, true, &policy, "bad", 20, 0, &why)));
    assert_true(now.stage == STAGE_PROMOTED && old.stage == STAGE_RETIRED);
    assert_true(ok(stage_rollback(&now, &old, true, &policy, "bad", 20, 1, &why)));
    assert_true(now.stage == STAGE_SUSPENDED && old.stage == STAGE_PROMOTED);
    /* Suspended by monitoring already, and back again. */
    old.stage = STAGE_SUSPENDED;
    assert_true(ok(stage_rollback(&old, &now, true, &policy, "better", 30, 1, &why)));
    assert_true(now.stage == STAGE_PROMOTED && old.stage == STAGE_SUSPENDED);
    enum stage s;
    assert_true(stage_from_name("pilot", &s) && s == STAGE_PILOT);
    assert_false(stage_from_name("gone", &s));
}

static void monitoring_needs_threshold_and_bound(void **state)
{
    (void)state;
    struct monitor_policy policy = monitor_policy_default();
    struct monitor_finding f[MONITOR_RULES];
    struct why why;
    /* Twelve looks of planned size: early ones spend next to nothing. */
    double last = monitor_bound(policy.alpha, 11.0 / 12.0, 1.0);
    assert_true(monitor_bound(policy.alpha, 0.0, 1.0 / 12.0) > 7.0 && last > 1.9 && last < 3.0);
    assert_true(monitor_bound(policy.alpha, 0.5, 0.5) >= 40.0);
    struct monitor_look look = monitor_look_none(1000);
    look.auroc_base = 0.85;
    look.var_base = 1e-4;
    look.auroc_now = 0.79;
    look.var_now = 2e-3; /* few patients: a large drop, but chance would do it */
    look.brier_base = 0.10;
    look.brier_var_base = 1e-6;
    look.brier_now = 0.12;
    look.brier_var_now = 1e-6; /* beyond chance, but by a fifth only */
    look.accuracy_gap = 0.2;
    look.accuracy_gap_se = 0.02;
    look.kl = 0.1;
    look.kl_p = 1e-9;
    look.log_e = 1.0;
    assert_int_equal(monitor_judge(&policy, last, &look, f), MONITOR_INVESTIGATE);
    assert_int_equal(f[0].severity, MONITOR_FINE);
    assert_false(f[1].known || f[3].known);
    assert_true(f[2].known && f[2].severity == MONITOR_FINE && f[2].z > last);
    assert_int_equal(f[4].severity, MONITOR_INVESTIGATE);
    assert_int_equal(f[4].deadline_ms, 1000 + policy.investigate_ms);
    assert_int_equal(f[5].severity, MONITOR_FINE); /* significant, but small */
    look.var_now = 1e-4;
    look.brier_now = 0.13;
    look.cindex_base = 0.70;
    look.cindex_now = 0.60;
    look.cindex_var_base = look.cindex_var_now = 1e-4;
    monitor_judge(&policy, last, &look, f);
    assert_int_equal(f[0].severity, MONITOR_INVESTIGATE);
    assert_int_equal(f[1].severity, MONITOR_SUSPEND); /* down 14 % */
    assert_int_equal(f[2].severity, MONITOR_INVESTIGATE);
    look.cindex_var_now = 1e-2; /* the same fall, of few patients */
    look.brier_var_now = 1e-3;
    monitor_judge(&policy, last, &look, f);
    assert_true(f[1].severity == MONITOR_FINE && f[2].severity == MONITOR_FINE);
    look.auroc_now = 0.7;
    look.log_e = 4.0;
    assert_int_equal(monitor_judge(&policy, last, &look, f), MONITOR_SUSPEND);
    assert_int_equal(f[0].deadline_ms, 1000 + policy.suspend_ms);
    assert_int_equal(f[6].severity, MONITOR_INVESTIGATE);
    policy.looks = 0;
    assert_int_equal(monitor_policy_check(&policy, &why).code, RESULT_INPUT);
}

static void incident_clocks_run(void **state)
{
    (void)state;
    struct incident_clocks clocks = incident_clocks_default();
    struct incident i;
    struct why why;
    assert_false(ok(incident_open(&i, "", "x", INCIDENT_MINOR, 1, &why)));
    assert_true(ok(incident_open(&i, "i-1", "wrong site scored", INCIDENT_MODERATE, DAY, &why)));
    assert_int_equal(incident_overdue(&i, &clocks, 2 * DAY), INCIDENT_STEPS);
    assert_int_equal(incident_overdue(&i, &clocks, 2 * DAY + 1), INCIDENT_ACKNOWLEDGE);
    assert_false(ok(incident_mark(&i, INCIDENT_CONTAIN, 2 * DAY, &why)));
    assert_true(ok(incident_mark(&i, INCIDENT_ACKNOWLEDGE, 2 * DAY, &why)));
    assert_false(ok(incident_mark(&i, INCIDENT_ACKNOWLEDGE, 2 * DAY, &why)));
    assert_false(ok(incident_mark(&i, INCIDENT_CONTAIN, DAY, &why)));
    assert_false(ok(incident_raise(&i, INCIDENT_MINOR, &why)));
    assert_true(ok(incident_raise(&i, INCIDENT_CRITICAL, &why)));
    assert_int_equal(incident_overdue(&i, &clocks, 2 * DAY), INCIDENT_CONTAIN);
    assert_true(ok(incident_mark(&i, INCIDENT_CONTAIN, 2 * DAY, &why)));
    assert_int_equal(incident_due(&i, &clocks, INCIDENT_REPORT), 3 * DAY);
}

static void change_plan_is_literal(void **state)
{
    (void)state;
    static const char TEXT[] = "{\"allowed\":[\"retrain\",\"threshold\"],\"threshold\":[0.2,0.4],"
                               "\"patients_min\":1000,\"ni_margin_max\":0.02,\"expires_ms\":900}";
    static const char *const BAD[] = {
        "",
        "[]",
        "{\"allowed\":[\"everything\"]}",
        "{\"allowed\":[\"intended_use\"]}",
        "{\"surprise\":1}",
        "{\"patients_min\":-1}",
        "{\"threshold\":0.3}",
        "{\"notify_sites\":1}",
        "{\"test_set_sha256\":\"abc\"}",
        "{\"allowed\":[],\"allowed\":[]}",
    };
    struct pccp plan;
    struct why why;
    for (size_t k = 0; k < sizeof BAD / sizeof *BAD; k++)
        assert_int_equal(pccp_read(BAD[k], strlen(BAD[k]), &plan, &why).code, RESULT_INPUT);
    assert_true(ok(pccp_read(TEXT, strlen(TEXT), &plan, &why)));
    const struct pccp_request good = {.changes = PCCP_RETRAIN | PCCP_THRESHOLD,
                                      .threshold = 0.3,
                                      .patients = 1000,
                                      .ni_margin = 0.02,
                                      .now_ms = 900};
    struct pccp_request q = good;
    assert_true(ok(pccp_covers(&plan, &q, &why)));
    q.changes |= PCCP_FEATURES;
    assert_false(ok(pccp_covers(&plan, &q, &why)));
    q = good;
    q.threshold = 0.41;
    assert_false(ok(pccp_covers(&plan, &q, &why)));
    q = good;
    q.patients = 999;
    assert_false(ok(pccp_covers(&plan, &q, &why)));
    q = good;
    q.ni_margin = NAN;
    assert_false(ok(pccp_covers(&plan, &q, &why)));
    q = good;
    q.now_ms = 901;
    assert_false(ok(pccp_covers(&plan, &q, &why)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_comes_into_use),
        cmocka_unit_test(rollback_is_all_or_nothing),
        cmocka_unit_test(monitoring_needs_threshold_and_bound),
        cmocka_unit_test(incident_clocks_run),
        cmocka_unit_test(change_plan_is_literal),
    };
    return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
