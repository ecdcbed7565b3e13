/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences are kept, prefixed and cut without overrun. */
#include "proto/base/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void sentence_and_context(void **state)
{
    (void)state;
    struct why why;
    struct result r = failed(&why, RESULT_INPUT, "value %d is not a rate", 7);
    assert_int_equal(r.code, RESULT_INPUT);
    r = failed_in(&why, r, "plan.yaml line %d", 3);
    assert_string_equal(why.text, "plan.yaml line 3: value 7 is not a rate");
    assert_false(ok(r));
    assert_true(ok(DONE));
}

static void long_sentences_are_cut(void **state)
{
    (void)state;
    char longer[2 * WHY_BYTES];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    struct why why;
    struct result r = failed(&why, RESULT_SYSTEM, "%s", longer);
    assert_int_equal(strlen(why.text), WHY_BYTES - 1);
    r = failed_in(&why, r, "%s", longer);
    assert_true(strlen(why.text) < WHY_BYTES);
    assert_int_equal(failed(NULL, RESULT_AGAIN, "nobody listens").code, RESULT_AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentence_and_context),
        cmocka_unit_test(long_sentences_are_cut),
    };
    return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
