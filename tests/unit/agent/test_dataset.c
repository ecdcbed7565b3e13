/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding by plan and mapping, the patient-wise split, refusals counted by reason. */
#include "agent/vault/dataset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char key[DATASET_KEY_BYTES] = {1, 2, 3};

static struct plan_level stages[] = {{"I"}, {"II"}, {"III"}};
static struct plan_level no_yes[] = {{"0"}, {"1"}};
static struct plan_level bands[] = {{"young"}, {"old"}};
static struct plan_feature features[] = {
    {.name = "age",
     .type = FEATURE_NUMBER,
     .low = 0,
     .high = 120,
     .centre = 60,
     .spread = 30,
     .missing = MISSING_CENTRE,
     .indicator = true},
    {.name = "stage",
     .type = FEATURE_CATEGORY,
     .levels = stages,
     .levels_count = 3,
     .missing = MISSING_VALUE,
     .missing_value = "II"},
    {.name = "smoker",
     .type = FEATURE_FLAG,
     .levels = no_yes,
     .levels_count = 2,
     .missing = MISSING_REFUSE},
};
static struct plan_subgroup subgroups[] = {{.column = "band", .levels = bands, .levels_count = 2}};

static struct plan small_plan(void)
{
    return (struct plan){
        .patient_id = "id",
        .label = {.column = "dead", .type = LABEL_BINARY, .levels = no_yes, .levels_count = 2},
        .features = features,
        .features_count = 3,
        .subgroups = subgroups,
        .subgroups_count = 1,
        .privacy = {.mode = PRIVACY_PATIENT, .sampling_rate = 1.0, .max_rows_per_patient = 2},
        .validation = {.fold_column = "fold", .fold_value = "0"},
    };
}

static struct result load(struct dataset *d, const struct plan *plan, const struct mapping *mapping,
                          const char *text, struct why *why)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    rewind(file);
    struct result result = dataset_load(d, plan, mapping, "site.csv", file, key, why);
    fclose(file);
    return result;
}

/* The row of train whose encoded age is this. */
static const double *row_with(const struct dataset *d, const struct dataset_part *part, double age)
{
    for (size_t r = 0; r < part->rows; r++)
        if (part->x[r * d->inputs] == age)
            return part->x + r * d->inputs;
    return NULL;
}

static void encodes_every_type(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct why why;
    const char *text = "id,age,stage,smoker,dead,band,fold,unused\n"
                       "a,75,III,1,1,old,1,x\n"
                       "b,30,I,0,0,young,1,x\n"
                       "c,,,0,0,,2,x\n"
                       "d,90,II,1,1,old,0,x\n";
    assert_true(ok(load(&d, &plan, NULL, text, &why)));
    assert_int_equal(d.inputs, 5);
    assert_int_equal(d.train.patients, 3);
    assert_int_equal(d.holdout.patients, 1);
    const double a[] = {0.5, 0, 0, 1, 1}, b[] = {-1, 0, 0, 0, 0}, c[] = {0, 1, 1, 0, 0};
    assert_memory_equal(row_with(&d, &d.train, 0.5), a, sizeof a);
    assert_memory_equal(row_with(&d, &d.train, -1.0), b, sizeof b);
    assert_memory_equal(row_with(&d, &d.train, 0.0), c, sizeof c);
    assert_true(d.holdout.y[0] == 1.0 && d.holdout.x[0] == 1.0);
    assert_int_equal(d.holdout.groups[0], 1);
    assert_int_equal(d.counts.missing[0], 1);
    for (size_t r = 0; r < d.train.rows; r++)
        if (d.train.x[r * 5 + 1] == 1.0)
            assert_int_equal(d.train.groups[r], ENCODE_NO_GROUP);
    dataset_free(&d);
}

static void mapping_translates(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d, same;
    struct why why;
    struct mapping_code codes[] = {{"early", "I"}, {"late", "III"}, {"unknown", ""}};
    struct mapping_column columns[] = {
        {.plan = "age", .column = "months", .factor = 1.0 / 12.0},
        {.plan = "stage", .factor = 1.0, .codes = codes, .codes_count = 3},
    };
    struct plan_level missing[] = {{"NA"}};
    struct mapping mapping = {.missing = missing,
                              .missing_count = 1,
                              .columns = columns,
                              .columns_count = 2,
                              .declared_patients = 1000};
    const char *site = "months,id,stage,smoker,dead,band,fold\n"
                       "900,a,late,1,1,old,1\n360,b,early,0,0,young,1\nNA,c,unknown,0,0,NA,1\n";
    const char *plain = "id,age,stage,smoker,dead,band,fold\n"
                        "c,,,0,0,,1\nb,30,I,0,0,young,1\na,75,III,1,1,old,1\n";
    assert_true(ok(load(&d, &plan, &mapping, site, &why)));
    assert_true(ok(load(&same, &plan, NULL, plain, &why)));
    assert_int_equal(d.train.slots, clip_slots(1000, 2));
    /* the same patients, whatever the file's order, names and units */
    struct mapping declared = {.declared_patients = 1000};
    dataset_free(&same);
    assert_true(ok(load(&same, &plan, &declared, plain, &why)));
    assert_memory_equal(d.fingerprint, same.fingerprint, sizeof d.fingerprint);
    assert_memory_equal(d.train.x, same.train.x, 15 * sizeof(double));
    dataset_free(&d);
    dataset_free(&same);
}

static void refusals_are_counted(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct why why;
    const char *text = "id,age,stage,smoker,dead,band,fold\n"
                       "a,75,III,1,1,old,1\n"
                       "b,121,III,1,1,old,1\n"
                       "c,-1,III,1,1,old,1\n"
                       "d,0x20,III,1,1,old,1\n"
                       "e,nan,III,1,1,old,1\n"
                       "f,75,IV,1,1,old,1\n"
                       "g,75,III,,1,old,1\n"
                       "h,75,III,1,,old,1\n"
                       ",75,III,1,1,old,1\n";
    assert_true(ok(load(&d, &plan, NULL, text, &why)));
    assert_int_equal(d.counts.rows_read, 9);
    assert_int_equal(d.counts.rows_refused, 8);
    assert_int_equal(d.train.patients, 1);
    const struct {
        const char *column;
        enum encode_reason reason;
        uint64_t rows, line;
    } expected[] = {{"age", ENCODE_OUT_OF_RANGE, 2, 3},   {"age", ENCODE_NOT_A_NUMBER, 2, 5},
                    {"stage", ENCODE_UNKNOWN_CODE, 1, 7}, {"smoker", ENCODE_MISSING, 1, 8},
                    {"dead", ENCODE_MISSING, 1, 9},       {"id", ENCODE_MISSING, 1, 10}};
    assert_int_equal(d.counts.refusals, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(d.counts.refusal[i].column, expected[i].column);
        assert_int_equal(d.counts.refusal[i].reason, expected[i].reason);
        assert_int_equal(d.counts.refusal[i].rows, expected[i].rows);
        assert_int_equal(d.counts.refusal[i].first_line, expected[i].line);
    }
    dataset_free(&d);
}

static void wrong_files_are_explained(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    const char *const cases[][2] = {
        {"", "site.csv: the file is empty"},
        {"id;age;stage\n", "fields must be separated by commas"},
        {"id,age,stage,dead,band,fold\n", "no column \"smoker\"; if it has another name"},
        {"id,age,stage,smoker,dead,band,fold,age\n", "\"age\" stands there 2 times"},
        {"id,age,stage,smoker,dead,band,fold\n", "there is no patient to train on"},
        {"id,age,stage,smoker,dead,band,fold\na,75,IV,1,1,old,1\n",
         "1 of 1 rows are refused, most because the column \"stage\" has a code"},
        {"id,age,stage,smoker,dead,band,fold\na,75\n", "2 fields where the header has 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct why why = {{0}};
        assert_int_equal(load(&d, &plan, NULL, cases[i][0], &why).code, RESULT_INPUT);
        assert_non_null(strstr(why.text, cases[i][1]));
        assert_int_equal(d.train.rows, 0);
    }
}

static void shares_centre_the_columns(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct plan_feature scaled[3];
    double stage[] = {0.25, 0.5, 0.25}, smoker[] = {0.99, 0.01};
    memcpy(scaled, features, sizeof features);
    scaled[1].shares = stage;
    scaled[2].shares = smoker;
    scaled[1].shares_count = 3;
    scaled[2].shares_count = 2;
    scaled[1].missing = scaled[2].missing = MISSING_CENTRE;
    plan.features = scaled;
    struct dataset d;
    struct why why;
    const char *text = "id,age,stage,smoker,dead,band,fold\n"
                       "a,75,II,1,1,old,1\nb,60,,,0,old,1\n";
    assert_true(ok(load(&d, &plan, NULL, text, &why)));
    const double *a = row_with(&d, &d.train, 0.5), *b = row_with(&d, &d.train, 0.0);
    assert_true(a[2] == 1.0 && fabs(a[3] + 0.25 / sqrt(0.1875)) < 1e-15);
    assert_true(fabs(a[4] - 0.99 / sqrt(0.0475)) < 1e-15);
    assert_true(b[2] == 0.0 && b[3] == 0.0 && b[4] == 0.0);
    dataset_free(&d);
}

/* 400 patients of 1 to 4 rows, scattered through the file. */
static char *many_rows(bool backwards)
{
    char *text = malloc(1 << 17), *at = text;
    assert_non_null(text);
    at += sprintf(at, "id,age,stage,smoker,dead,band,fold\n");
    for (int i = 0; i < 1600; i++) {
        int row = backwards ? 1599 - i : i, patient = row % 400, turn = row / 400;
        if (turn <= patient % 4)
            at += sprintf(at, "p%d,%d.%d,I,0,%d,old,9\n", patient, 20 + turn, patient, patient % 2);
    }
    return text;
}

static void split_is_by_patient_and_permanent(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d, other;
    struct why why;
    plan.validation.fold_column[0] = 0;
    plan.validation.holdout = 0.25;
    char *text = many_rows(false), *reverse = many_rows(true);
    struct mapping mapping = {.declared_patients = 900};
    assert_true(ok(load(&d, &plan, &mapping, text, &why)));
    assert_int_equal(d.train.patients + d.holdout.patients, 400);
    assert_in_range(d.holdout.patients, 70, 130);
    assert_true(d.holdout.rows > d.holdout.patients);
    assert_int_equal(d.holdout.first[d.holdout.patients], d.holdout.rows);
    assert_int_equal(d.train.rows + d.holdout.rows + d.counts.rows_over_cap, 1000);
    assert_int_equal(d.train.slot_first[d.train.slots], d.train.patients);
    for (size_t p = 0; p < d.train.patients; p++) {
        size_t rows = d.train.first[p + 1] - d.train.first[p];
        assert_in_range(rows, 1, 2);
        /* all rows of one patient: the same fraction of the age, which is the patient's number */
        for (size_t r = d.train.first[p]; r < d.train.first[p + 1]; r++)
            assert_true(d.train.y[r] == d.train.y[d.train.first[p]]);
    }
    assert_true(ok(load(&other, &plan, &mapping, reverse, &why)));
    assert_int_equal(d.train.rows, other.train.rows);
    assert_memory_equal(d.train.x, other.train.x, d.train.rows * d.inputs * sizeof(double));
    assert_memory_equal(d.fingerprint, other.fingerprint, sizeof d.fingerprint);
    dataset_free(&other);
    /* a larger holdout keeps every patient that the smaller one held */
    plan.validation.holdout = 0.5;
    assert_true(ok(load(&other, &plan, &mapping, text, &why)));
    size_t found = 0;
    for (size_t r = 0; r < d.holdout.rows; r++)
        found += row_with(&other, &other.holdout, d.holdout.x[r * d.inputs]) != NULL;
    assert_int_equal(found, d.holdout.rows);
    dataset_free(&d);
    dataset_free(&other);
    free(text);
    free(reverse);
}

static void class_weights_reach_the_rows(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct why why;
    double weights[] = {0.5, 3.0};
    plan.training.class_weights = weights;
    plan.training.class_weights_count = 2;
    const char *text = "id,age,stage,smoker,dead,band,fold\na,75,I,1,1,old,1\nb,30,I,0,0,old,1\n";
    assert_true(ok(load(&d, &plan, NULL, text, &why)));
    for (size_t r = 0; r < 2; r++)
        assert_true(d.train.weight[r] == weights[(size_t)d.train.y[r]]);
    struct clip_rows rows = dataset_rows(&d.train);
    assert_ptr_equal(rows.weight, d.train.weight);
    dataset_free(&d);
}

/* A file that can be read and was hardly meant so is remarked upon, without a cell's value. */
static void doubtful_files_are_remarked(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct why why;
    char remark[DATASET_REMARKS][DATASET_REMARK_BYTES];
    assert_true(ok(load(&d, &plan, NULL,
                        "id,age,stage,smoker,dead,band,fold\n"
                        "a,75,III,1,1,old,1\n"
                        "b,NA,I,0,1,young,1\n"
                        "c,30,I,0,1,young,1\n",
                        &why)));
    assert_int_equal(dataset_remarks(&d, &plan, remark), 2);
    assert_non_null(strstr(remark[0], "1 of 3 rows are refused"));
    assert_non_null(strstr(remark[0], "missing in the mapping (first at line 3)"));
    assert_null(strstr(remark[0], "\"NA\""));
    assert_non_null(strstr(remark[1], "the same label"));
    dataset_free(&d);
    assert_true(ok(load(&d, &plan, NULL,
                        "id,age,stage,smoker,dead,band,fold\n"
                        "a,75,III,1,1,old,1\n"
                        "c,30,I,0,0,young,1\n",
                        &why)));
    assert_int_equal(dataset_remarks(&d, &plan, remark), 0);
    dataset_free(&d);
    plan.features[0].centre -= 300.0;
    assert_true(ok(load(&d, &plan, NULL,
                        "id,age,stage,smoker,dead,band,fold\n"
                        "a,75,III,1,1,old,1\n"
                        "c,30,I,0,0,young,1\n",
                        &why)));
    plan.features[0].centre += 300.0;
    assert_int_equal(dataset_remarks(&d, &plan, remark), 1);
    assert_non_null(strstr(remark[0], "\"age\" lie more than 3 spreads"));
    dataset_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_every_type),
        cmocka_unit_test(mapping_translates),
        cmocka_unit_test(refusals_are_counted),
        cmocka_unit_test(doubtful_files_are_remarked),
        cmocka_unit_test(wrong_files_are_explained),
        cmocka_unit_test(split_is_by_patient_and_permanent),
        cmocka_unit_test(class_weights_reach_the_rows),
        cmocka_unit_test(shares_centre_the_columns),
    };
    return cmocka_run_group_tests_name("dataset", tests, NULL, NULL);
}
