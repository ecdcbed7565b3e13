/* SPDX-License-Identifier: Apache-2.0 */
/* Rule 1 of a judgement: the change that the candidate is, against the plan agreed beforehand. */
#include "coordinator/change.h"
#include "coordinator/entry.h"
#include "coordinator/judge_inner.h"

#include <stdio.h>
#include <string.h>

static uint64_t validated_patients(const struct gate_site *sites, size_t n_sites)
{
    uint64_t patients = 0;
    for (size_t i = 0; i < n_sites; i++)
        if (strcmp(sites[i].status, "ok") == 0)
            patients += (uint64_t)sites[i].n_pos + (uint64_t)sites[i].n_neg;
    return patients;
}

void judge_scope(const struct judge_case *in, const struct gate_policy *policy,
                 const struct gate_site *sites, size_t n_sites, struct gate_integrity *finding,
                 char detail[JUDGE_DETAIL_BYTES])
{
    const struct judge_change *change = in->change;
    char words[160], test_set[PCCP_HASH_TEXT];
    struct why why;
    *finding = (struct gate_integrity){.signatures_ok = true,
                                       .hashes_ok = true,
                                       .in_scope = true,
                                       .detail = detail};
    snprintf(detail, JUDGE_DETAIL_BYTES, "no change control plan is in force");
    if (!change || !change->pccp)
        return;
    if (!change->before) {
        snprintf(detail, JUDGE_DETAIL_BYTES,
                 "change control plan %.12s: a first model for this use changes nothing",
                 change->sha256);
        return;
    }
    struct pccp_request request = {
        .changes = change_classes(change->before, in->plan),
        .threshold = in->plan->validation.threshold,
        .patients = validated_patients(sites, n_sites),
        .ni_margin = policy->ni_margin,
        .auc_floor = policy->auc_floor,
        .test_set_sha256 = test_set,
        .now_ms = (int64_t)in->now_ms,
    };
    change_test_set(in->plan, test_set);
    pccp_words(request.changes, words, sizeof words);
    finding->in_scope = ok(pccp_covers(change->pccp, &request, &why));
    if (finding->in_scope)
        snprintf(detail, JUDGE_DETAIL_BYTES, "within the change control plan %.12s: %s%s",
                 change->sha256, words,
                 change->pccp->notify_sites ? "; the sites are told before it comes into use" : "");
    else
        snprintf(detail, JUDGE_DETAIL_BYTES, "%.140s (plan %.12s, changes: %.100s)", why.text,
                 change->sha256, words);
}

json_t *judge_change_json(const struct judge_case *in)
{
    const struct judge_change *change = in->change;
    char words[160], model[HEX_HASH_BYTES];
    if (!change || !change->pccp)
        return NULL;
    json_t *o = json_pack("{s:s}", "plan", change->sha256);
    if (!change->before)
        return o;
    hex_hash(model, change->model);
    pccp_words(change_classes(change->before, in->plan), words, sizeof words);
    json_object_set_new(o, "before", json_string(model));
    json_object_set_new(o, "classes", json_string(words));
    if (change->pccp->notify_sites)
        json_object_set_new(o, "notify_sites", json_true());
    return o;
}
