/* SPDX-License-Identifier: Apache-2.0 */
/* A site's file of any bytes is read or refused with a sentence; what is read keeps its promises.
 */
#include "tests/fuzz/fuzz.h"

#include "agent/vault/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct plan_level no_yes[] = {{"0"}, {"1"}};
static struct plan_level stages[] = {{"I"}, {"II"}, {"III"}};
static double shares[] = {0.5, 0.3, 0.2};
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
     .shares = shares,
     .shares_count = 3,
     .missing = MISSING_VALUE,
     .missing_value = "II"},
    {.name = "smoker", .type = FEATURE_FLAG, .levels = no_yes, .levels_count = 2},
};
static struct plan_subgroup subgroups[] = {
    {.column = "stage", .levels = stages, .levels_count = 3}};
static struct mapping_code codes[] = {{"late", "III"}, {"unknown", ""}};
static struct mapping_column columns[] = {
    {.plan = "stage", .column = "grade", .factor = 1.0, .codes = codes, .codes_count = 2},
    {.plan = "age", .factor = 0.5, .offset = 1.0},
};

static void check(const struct dataset_part *part, size_t inputs)
{
    if (part->first[part->patients] != part->rows ||
        part->slot_first[part->slots] != part->patients)
        abort();
    for (size_t p = 0; p < part->patients; p++)
        if (part->first[p + 1] <= part->first[p])
            abort();
    for (size_t i = 0; i < part->rows * inputs; i++)
        if (!isfinite(part->x[i]))
            abort();
    for (size_t r = 0; r < part->rows; r++)
        if (part->y[r] != 0.0 && part->y[r] != 1.0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {1};
    struct plan plan = {
        .patient_id = "id",
        .label = {.column = "dead", .type = LABEL_BINARY, .levels = no_yes, .levels_count = 2},
        .features = features,
        .features_count = 3,
        .subgroups = subgroups,
        .subgroups_count = 1,
        .privacy = {.mode = PRIVACY_PATIENT, .sampling_rate = 1.0, .max_rows_per_patient = 2},
        .validation = {.holdout = 0.3},
    };
    struct mapping mapping = {.declared_patients = 10000, .columns = columns, .columns_count = 2};
    struct dataset dataset;
    struct why why = {{0}};
    if (size == 0)
        return 0;
    unsigned char *copy = malloc(size);
    FILE *file = copy ? fmemopen(memcpy(copy, data, size), size, "r") : NULL;
    if (!file)
        abort();
    struct result result = dataset_load(&dataset, &plan, &mapping, "a.csv", file, key, &why);
    fclose(file);
    free(copy);
    if (!ok(result)) {
        if (why.text[0] == '\0')
            abort();
        return 0;
    }
    check(&dataset.train, dataset.inputs);
    check(&dataset.holdout, dataset.inputs);
    dataset_free(&dataset);
    return 0;
}
