/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile documents: envelopes, passports, change plans and gate inputs are refused with a reason,
 * or read within their bounds; a gate input that is read also decides and replays to itself. */
#include "coordinator/validate/dsse.h"
#include "coordinator/validate/gate_json.h"
#include "coordinator/validate/passport.h"
#include "coordinator/validate/pccp.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void refused_with_a_reason(struct result r, const struct why *why)
{
    if (!ok(r) && !why->text[0])
        abort();
}

static void try_gate(const char *text, size_t n)
{
    struct why why = {""};
    struct gate_parsed parsed;
    json_error_t error;
    json_t *root = json_loadb(text, n, 0, &error);
    struct result r = gate_parse(root, &parsed, &why);
    json_decref(root);
    refused_with_a_reason(r, &why);
    if (!ok(r))
        return;
    struct gate_site_verdict *verdicts = calloc(parsed.input.n_sites + 1, sizeof *verdicts);
    struct gate_record record;
    char *input = NULL;
    char *decided = NULL;
    r = gate_decide(&parsed.input, &record, verdicts, &why);
    refused_with_a_reason(r, &why);
    if (ok(r) && ok(gate_input_text(&parsed.input, &input, &why)) &&
        ok(gate_record_text(&record, parsed.sites, verdicts, &decided, &why)) &&
        !ok(gate_replay(input, decided, &why)))
        abort();
    free(input);
    free(decided);
    free(verdicts);
    gate_parsed_free(&parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char PUBLIC[DSSE_PUBLIC_BYTES] = {1};
    const struct dsse_key key = {"k", PUBLIC};
    struct why why = {""};
    char *payload = NULL;
    size_t n;
    char *text = malloc(size + 1);
    if (!text || sodium_init() < 0)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    struct result r = dsse_open(text, size, "t/x", 1, &key, 0, &payload, &n, NULL, &why);
    refused_with_a_reason(r, &why);
    free(payload);
    struct pccp plan;
    refused_with_a_reason(pccp_read(text, size, &plan, &why), &why);
    uint64_t tree_size;
    struct merkle_hash root;
    refused_with_a_reason(passport_check(text, size, &tree_size, &root, &why), &why);
    try_gate(text, size);
    free(text);
    return 0;
}
