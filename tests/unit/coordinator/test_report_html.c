/* SPDX-License-Identifier: Apache-2.0 */
/* The report's page: well-formed and escaped whatever the report says. */
#include "coordinator/cli/report_html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char full[] =
    "{\"study\":\"thyroid\",\"title\":\"Thyroid & <five> hospitals\",\"purpose\":\"p\","
    "\"phase\":\"complete\",\"rounds_completed\":3,\"rounds_planned\":3,\"audit_verified\":true,"
    "\"model_hash\":\"ab12\",\"pooled\":{\"auroc\":0.91,\"auroc_low\":0.89,\"auroc_high\":0.93,"
    "\"brier\":0.05,\"calibration_slope\":0.9,\"calibration_intercept\":0.1},"
    "\"sites\":[{\"name\":\"north\",\"patients\":900,\"rounds_counted\":3,\"rounds_refused\":0,"
    "\"epsilon_spent\":1.5,\"epsilon_budget\":2,\"spent\":[[1000,0.5],[2000,1],[3000,1.5]],"
    "\"delta\":1e-5,\"auroc\":0.9,\"auroc_low\":0.85,"
    "\"auroc_high\":0.95,\"bytes_sent\":123456,\"peak_memory_mb\":40,\"calibration_slope\":1.1,"
    "\"calibration_slope_low\":0.9,\"calibration_slope_high\":1.3,\"calibration_intercept\":0},{"
    "\"name\":\"south\",\"epsilon_spent\":3,\"epsilon_budget\":2,"
    "\"auroc\":null}],\"rounds\":[{\"round\":1,\"auroc\":0.8,\"loss\":0.5,\"counted\":[\"north\"],"
    "\"refused\":[{\"site\":\"south\",\"standing\":\"refused\",\"reason\":\"norm 9 over 3\"}],"
    "\"updates\":[{\"site\":\"north\",\"fate\":\"counted\",\"norm\":1.5,\"cosine\":0.5,"
    "\"flags\":[\"norm\"],\"reason\":\"norm 4 > 3 & <more>\",\"noise\":{\"tested\":true,"
    "\"verdict\":\"ok\",\"low\":1,\"high\":2,\"noise\":1.2}},{\"site\":\"south\","
    "\"fate\":\"refused\",\"norm\":9,\"flags\":[\"rejected\"],\"noise\":{\"tested\":false,"
    "\"reason\":\"the study has no privacy noise\"}}],"
    "\"seconds\":1},{\"round\":2,\"auroc\":0.91,\"loss\":0.4,\"counted\":[\"north\",\"south\"],"
    "\"refused\":[]},{\"round\":3,\"completed\":false,\"counted\":[],\"refused\":[]}],"
    "\"matrix\":{\"models\":[\"global\",\"north\"],\"sites\":[\"north\",\"south\"],"
    "\"auroc\":[[0.9,0.8],[0.85,null]],\"fit\":{\"sites\":[{\"site\":\"north\",\"contribution\":0."
    "01,"
    "\"z\":null,\"free_rider\":true,\"self_inflated\":true}]}},"
    "\"calibration\":[{\"predicted\":0.1,\"observed\":0.2,\"low\":0.15,\"high\":0.3}],"
    "\"transport\":{\"k\":3,\"dl\":{\"auc\":0.88,\"ci\":[0.8,0.9],\"pi\":[0.7,0.95],"
    "\"tau2\":0.01,\"i2_percent\":40},\"reml\":{\"auc\":0.87,\"ci\":[0.8,0.9],\"pi\":null}},"
    "\"groups\":[{\"group\":\"age 65+\",\"auroc\":0.86,\"low\":0.8,\"high\":0.9}],"
    "\"gate\":{\"decision\":\"HOLD\",\"candidate\":\"ab12\",\"rules\":[{\"rule\":3,"
    "\"name\":\"pooled\",\"outcome\":\"hold\",\"words\":\"d < m\"}]},"
    "\"subgroups\":[{\"site\":\"north\",\"group\":\"age 65+\",\"auroc\":0.88,\"low\":0.8,"
    "\"high\":0.94,\"n_band\":\"100-499\"},{\"site\":\"north\",\"group\":\"sex f\",\"auroc\":null,"
    "\"n_band\":\"<50\"}],\"bytes_per_update\":2100,\"seconds_per_round\":1.5,"
    "\"seconds_total\":75,\"notes\":[\"the split is ours\"],"
    "\"privacy\":{\"unit\":\"patient "
    "<all>\",\"epsilon_upper\":1.75,\"audited\":{\"epsilon_audited\":0.1}}}";

static bool is_void(const char *name)
{
    return !strcmp(name, "!DOCTYPE");
}

/* Every tag that opens closes in order, attributes are quoted, every & begins an entity. */
static void assert_well_formed(const char *html)
{
    static char stack[64][32];
    size_t depth = 0;
    for (const char *p = html; *p; p++) {
        if (*p == '&')
            assert_true(strspn(p + 1, "#0123456789abcdefghijklmnopqrstuvwxyz") ==
                        strcspn(p + 1, ";"));
        assert_true(*p != '>');
        if (*p != '<')
            continue;
        bool closing = p[1] == '/', quoted = false;
        char name[32] = "";
        sscanf(p + 1 + closing, "%31[!A-Za-z0-9]", name);
        const char *end = p + 1;
        for (; *end && (quoted || *end != '>'); end++) {
            assert_true(quoted || *end != '<');
            quoted ^= *end == '"';
        }
        assert_true(*end == '>');
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(stack[--depth], name);
        } else if (end[-1] != '/' && !is_void(name)) {
            assert_true(depth < 64);
            strcpy(stack[depth++], name);
        }
        p = end;
    }
    assert_int_equal(depth, 0);
}

static char *page_of(const char *json)
{
    struct why why;
    char *html = NULL;
    json_error_t error;
    json_t *report = json_loads(json, 0, &error);
    if (!report)
        fail_msg("%s", error.text);
    assert_true(ok(report_html(report, &html, &why)));
    json_decref(report);
    assert_well_formed(html);
    return html;
}

static void full_report(void **unused)
{
    (void)unused;
    static const char *const wanted[] = {
        "Thyroid &amp; &lt;five&gt; hospitals",
        "audit log verified",
        "Round by round",
        "by site and group",
        "Privacy budget",
        "Privacy budget over time",
        "1.500 spent, 0.500 left",
        "Privacy statement",
        "patient &lt;all&gt;",
        "1.75",
        "Every model at every site",
        "Are its probabilities right?",
        "What the gate decided: HOLD",
        "d &lt; m",
        "A new hospital, predicted",
        "What a new hospital may expect",
        "0.700 to 0.950",
        "By group over all sites",
        "Who contributes",
        "free rider?",
        "Calibration slope by site",
        "1.100 (0.900 to 1.300)",
        "0.900 (0.850 to 0.950)",
        "norm 9 over 3",
        "n &lt;50",
        "the split is ours",
        "What the aggregation saw",
        "norm 4 &gt; 3 &amp; &lt;more&gt;",
        "not tested: the study has no privacy noise",
        "2.1 kB",
        "1 min 15 s",
    };
    char *html = page_of(full);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strstr(html, wanted[i]))
            fail_msg("no \"%s\" in the page", wanted[i]);
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "inf "));
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "http://www.w3.org/1999"));
    free(html);
}

static void outside_text_is_escaped(void **unused)
{
    (void)unused;
    char *html = page_of(
        "{\"study\":\"</title><script>x</script>\",\"title\":\"<b>\",\"phase\":\"'\\\"\","
        "\"model_hash\":\"<i>\",\"sites\":[{\"name\":\"<img src=x onerror=y>\",\"epsilon_spent\":1,"
        "\"epsilon_budget\":2,\"auroc\":0.7}],\"matrix\":{\"models\":[\"<m>\"],\"sites\":[\"<s>\"],"
        "\"auroc\":[[0.7]]},\"subgroups\":[{\"site\":\"<img src=x onerror=y>\",\"group\":\"<gg>\","
        "\"n_band\":\"<n>\",\"auroc\":0.6}],\"rounds\":[{\"round\":1,\"auroc\":0.6,\"refused\":"
        "[{\"site\":\"<r>\",\"standing\":\"<t>\",\"reason\":\"\\u0001&amp;\"}]}],"
        "\"notes\":[\"<note>\"],\"researcher\":\"<x>\",\"privacy\":{\"<k>\":\"<v>\"}}");
    static const char *const never[] = {"<script", "<b>x", "<img", "<m>", "<s>",
                                        "<gg>",    "<n>",  "<r>",  "<t>", "<note",
                                        "<x>",     "<i>",  "<k>",  "<v>", "\001"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        assert_null(strstr(html, never[i]));
    assert_non_null(strstr(html, "&amp;amp;"));
    free(html);
}

static void empty_and_wrong_types(void **unused)
{
    (void)unused;
    static const char *const reports[] = {
        "{}",
        "{\"pooled\":null,\"matrix\":null,\"sites\":[],\"rounds\":[],\"notes\":[]}",
        "{\"sites\":{},\"rounds\":7,\"matrix\":[],\"pooled\":\"x\",\"study\":4,\"notes\":[1,null]}",
        "{\"sites\":[1,null,[],{\"name\":5,\"auroc\":\"x\",\"epsilon_spent\":1e308,"
        "\"epsilon_budget\":-1}],\"rounds\":[3,{\"round\":1e300,\"auroc\":1e300},{\"auroc\":-5}]}",
        "{\"matrix\":{\"models\":[1,2],\"sites\":[\"a\"],\"auroc\":[[1e300],[]]}}",
        "{\"pooled\":{\"auroc\":7,\"auroc_low\":-3,\"auroc_high\":1e9,\"calibration_slope\":900,"
        "\"calibration_intercept\":-900},\"calibration\":[3,{\"predicted\":2,\"observed\":0}]}",
    };
    struct why why;
    char *html;
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) {
        html = page_of(reports[i]);
        assert_null(strstr(html, "nan"));
        free(html);
    }
    json_t *array = json_array();
    assert_int_equal(report_html(array, &html, &why).code, RESULT_INPUT);
    assert_null(html);
    json_decref(array);
}

/* Far over every limit of the pictures, the page stays small and says what it left out. */
static void large_reports_are_bounded(void **unused)
{
    (void)unused;
    json_t *report = json_object(), *sites = json_array(), *rounds = json_array();
    for (int i = 0; i < 3000; i++) {
        json_array_append_new(sites, json_pack("{s:s,s:f,s:f,s:f}", "name", "a site", "auroc", 0.7,
                                               "epsilon_spent", 1.0, "epsilon_budget", 2.0));
        json_array_append_new(rounds, json_pack("{s:i,s:f,s:[{s:s}]}", "round", i + 1, "auroc",
                                                0.5 + i * 1e-4, "refused", "site", "a site"));
    }
    json_object_set_new(report, "sites", sites);
    json_object_set_new(report, "rounds", rounds);
    char *text = json_dumps(report, 0), *html = page_of(text);
    assert_true(strlen(html) < 2 << 20);
    assert_non_null(strstr(html, "2500 more sites are in report.json"));
    assert_non_null(strstr(html, "2800 more are in report.json"));
    free(html);
    free(text);
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_report),
        cmocka_unit_test(outside_text_is_escaped),
        cmocka_unit_test(empty_and_wrong_types),
        cmocka_unit_test(large_reports_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
