/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which facts decide whether a site takes part. */
#include "agent/vault/consent.h"

#include <stdio.h>

static void decide(struct consent *consent, enum study_verdict verdict, const char *reason)
{
    consent->verdict = verdict;
    snprintf(consent->reason, sizeof consent->reason, "%s", reason ? reason : "");
}

void consent_decide(const struct consent_facts *facts, struct consent *consent)
{
    if (facts->decided_before)
        decide(consent, STUDY_ALLOWED, facts->reason_before);
    else if (facts->human == HUMAN_REFUSED)
        decide(consent, STUDY_REFUSED, "the site's data steward refused the study");
    else if (!ok(facts->policy))
        decide(consent, STUDY_REFUSED, facts->policy_reason);
    else if (!ok(facts->budget))
        decide(consent, STUDY_REFUSED, facts->budget_reason);
    else if (!ok(facts->data))
        decide(consent, STUDY_REFUSED, facts->data_reason);
    else if (facts->human == HUMAN_APPROVED)
        decide(consent, STUDY_ALLOWED, "the site's data steward approved the study");
    else if (facts->decision == DECISION_ALLOW)
        decide(consent, STUDY_ALLOWED, "within the site's policy");
    else
        decide(consent, STUDY_ASKING, "the site's data steward is asked");
}
