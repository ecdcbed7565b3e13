/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile plans, mappings and policies: refused with a sentence that names the file, or accepted
 * whole. */
#include "proto/mapping.h"
#include "proto/policy.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan plan;
    struct mapping mapping;
    struct policy policy;
    struct why why = {""};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (ok(plan_parse(&plan, "file", text, size, &why)))
        plan_free(&plan);
    else if (strncmp(why.text, "file", 4) != 0)
        abort();
    if (ok(mapping_parse(&mapping, "file", text, size, &why)))
        mapping_free(&mapping);
    else if (strncmp(why.text, "file", 4) != 0)
        abort();
    if (ok(policy_parse(&policy, "file", text, size, &why)))
        policy_free(&policy);
    else if (strncmp(why.text, "file", 4) != 0)
        abort();
    free(text);
    return 0;
}
