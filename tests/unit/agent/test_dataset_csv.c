/* SPDX-License-Identifier: Apache-2.0 */
/* The reader on quoting, line ends and limits; each refusal names the line, never a cell. */
#include "agent/vault/dataset_csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct csv *open_text(FILE **file, const char *text, size_t n)
{
    struct csv *csv;
    struct why why;
    *file = tmpfile();
    assert_non_null(*file);
    assert_int_equal(fwrite(text, 1, n, *file), n);
    rewind(*file);
    assert_true(ok(csv_open(&csv, *file, "a.csv", &why)));
    return csv;
}

static void expect_record(struct csv *csv, unsigned n, const char *const *fields)
{
    bool end;
    struct why why = {{0}};
    assert_true(ok(csv_next(csv, &end, &why)));
    assert_false(end);
    assert_int_equal(csv->fields, n);
    for (unsigned i = 0; i < n; i++)
        assert_string_equal(csv_field(csv, i), fields[i]);
}

static void expect_end(struct csv *csv)
{
    bool end;
    struct why why = {{0}};
    assert_true(ok(csv_next(csv, &end, &why)));
    assert_true(end);
}

static void reads_records(void **state)
{
    (void)state;
    const char text[] = "\xef\xbb\xbf"
                        "id,name\r\n1,\"a,\"\"b\"\"\nc\"\n2,\n3,z\xc3\xbcrich\n\n\n";
    FILE *file;
    struct csv *csv = open_text(&file, text, sizeof text - 1);
    const char *const rows[][2] = {{"id", "name"},
                                   {"1", "a,\"b\"\nc"},
                                   {"2", ""},
                                   {"3", "z\xc3\xbcrich"}};
    for (size_t i = 0; i < 4; i++)
        expect_record(csv, 2, rows[i]);
    assert_int_equal(csv->line, 5);
    expect_end(csv);
    expect_end(csv);
    csv_close(csv);
    fclose(file);
}

static void last_line_needs_no_end(void **state)
{
    (void)state;
    FILE *file;
    struct csv *csv = open_text(&file, "a,b\n1,2", 7);
    const char *const rows[][2] = {{"a", "b"}, {"1", "2"}};
    expect_record(csv, 2, rows[0]);
    expect_record(csv, 2, rows[1]);
    expect_end(csv);
    csv_close(csv);
    fclose(file);
}

static void refuse(const char *text, size_t n, const char *phrase)
{
    FILE *file;
    struct why why = {{0}};
    struct csv *csv = open_text(&file, text, n);
    bool end = false;
    struct result result = DONE;
    while (ok(result) && !end)
        result = csv_next(csv, &end, &why);
    assert_int_equal(result.code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "a.csv, line "));
    assert_non_null(strstr(why.text, phrase));
    assert_null(strstr(why.text, "SECRET"));
    csv_close(csv);
    fclose(file);
}

#define REFUSE(text, phrase) refuse(text, sizeof(text) - 1, phrase)

static void refuses_what_is_not_csv(void **state)
{
    (void)state;
    REFUSE("a,b\nSECRET\n", "line 2: 1 fields where the header has 2");
    REFUSE("a,b\n1,\"SECRET\n2,3\n", "ends inside a quoted field");
    REFUSE("a,b\n1,\"SECRET\"x\n", "after the closing quote");
    REFUSE("a,b\n1,SE\"CRET\n", "a quote inside an unquoted field");
    REFUSE("a,b\n1,\0\n", "control character");
    REFUSE("a,b\r1,2\r", "control character");
    REFUSE("a,b\n1,\xff\n", "line 2, field 2: the text is not UTF-8");
    REFUSE("a,b\n1,\xc3\n", "not UTF-8");
    REFUSE("a,b\n1,\xed\xa0\x80\n", "not UTF-8");
    REFUSE("a,b\n1,\xc0\xaf\n", "not UTF-8");
    REFUSE("a,b\n1,2\n\n3,4\n", "line 3: a blank line");
}

/* A field of size bytes in a two-column file. */
static void with_field(size_t size, const char *phrase)
{
    char *text = malloc(size + 16);
    assert_non_null(text);
    memcpy(text, "a,b\n1,", 6);
    memset(text + 6, 'x', size);
    text[6 + size] = '\n';
    if (phrase) {
        refuse(text, size + 7, phrase);
    } else {
        FILE *file;
        bool end;
        struct why why;
        struct csv *csv = open_text(&file, text, size + 7);
        assert_true(ok(csv_next(csv, &end, &why)) && ok(csv_next(csv, &end, &why)));
        assert_int_equal(strlen(csv_field(csv, 1)), size);
        csv_close(csv);
        fclose(file);
    }
    free(text);
}

static void limits_are_limits(void **state)
{
    (void)state;
    with_field(CSV_FIELD_BYTES_MAX - 1, NULL);
    with_field(CSV_FIELD_BYTES_MAX, "longer than 4096 bytes");
    char *text = malloc(CSV_FIELDS_MAX + 2);
    assert_non_null(text);
    memset(text, ',', CSV_FIELDS_MAX + 1);
    text[CSV_FIELDS_MAX] = '\n';
    refuse(text, CSV_FIELDS_MAX + 1, "more than 2048 columns");
    FILE *file;
    bool end;
    struct why why;
    text[CSV_FIELDS_MAX - 1] = '\n';
    struct csv *csv = open_text(&file, text, CSV_FIELDS_MAX);
    assert_true(ok(csv_next(csv, &end, &why)));
    assert_int_equal(csv->fields, CSV_FIELDS_MAX);
    csv_close(csv);
    fclose(file);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_records),
        cmocka_unit_test(last_line_needs_no_end),
        cmocka_unit_test(refuses_what_is_not_csv),
        cmocka_unit_test(limits_are_limits),
    };
    return cmocka_run_group_tests_name("dataset_csv", tests, NULL, NULL);
}
