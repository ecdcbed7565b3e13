/* SPDX-License-Identifier: Apache-2.0 */
/* Passport to model card: one function for each part of the schema, in its order. */
#include "coordinator/cli/passport_chai.h"

#include "coordinator/cli/html.h"

#include <stdlib.h>
#include <string.h>

static const char NOT_STATED[] = "Not stated in the passport.";

static void element(FILE *out, const char *name, const char *text)
{
    fprintf(out, "<%s>", name);
    html_text(out, text && text[0] ? text : NOT_STATED);
    fprintf(out, "</%s>\n", name);
}

/* A human text with the reference to what was signed. */
static void stated(FILE *out, const char *name, const json_t *passport, const char *text)
{
    const char *hash = string_at(passport, "human_sha256");
    fprintf(out, "<%s>", name);
    html_text(out, text[0] ? text : NOT_STATED);
    if (text[0] && hash[0]) {
        fputs(" [signed apart by ", out);
        html_text(out, string_at(json_object_get(passport, "intended_use"), "signed_by"));
        fputs(", SHA-256 ", out);
        html_text(out, hash);
        fputs("]", out);
    }
    fprintf(out, "</%s>\n", name);
}

static void release_part(FILE *out, const json_t *p)
{
    const json_t *model = json_object_get(p, "model"), *now = json_object_get(p, "deployment");
    fputs("<BasicInfo>\n", out);
    element(out, "ModelName", string_at(model, "name"));
    element(out, "ModelDeveloper", string_at(json_object_get(p, "training"), "federation"));
    element(out, "DeveloperContact", "");
    fputs("</BasicInfo>\n<ReleaseInfo>\n", out);
    element(out, "ReleaseStage", string_at(now, "stage"));
    element(out, "ReleaseDate", string_at(now, "stage_since"));
    element(out, "ReleaseVersion", string_at(model, "version"));
    element(out, "GlobalAvailability", "The member sites of the federation.");
    fputs("</ReleaseInfo>\n", out);
}

static void summary_part(FILE *out, const json_t *p)
{
    const json_t *model = json_object_get(p, "model"), *training = json_object_get(p, "training");
    fputs("<ModelSummary>\n<Summary>", out);
    html_text(out, string_at(model, "name"));
    fputs(": a ", out);
    html_text(out, string_at(model, "kind"));
    fputs(" model of '", out);
    html_text(out, string_at(model, "task"));
    fprintf(out, "', trained by %s over %zu sites whose patient rows never left them.</Summary>\n",
            string_at(training, "algorithm"), json_array_size(json_object_get(training, "sites")));
    fputs("<Keywords>\n<Keyword>federated learning</Keyword>\n", out);
    element(out, "Keyword", string_at(model, "kind"));
    fputs("</Keywords>\n</ModelSummary>\n", out);
}

static void human_part(FILE *out, const json_t *p)
{
    const json_t *use = json_object_get(p, "intended_use"), *limits = json_object_get(p, "limits");
    fputs("<UsesAndDirections>\n", out);
    stated(out, "IntendedUseAndWorkflow", p, string_at(use, "text"));
    stated(out, "PrimaryIntendedUsers", p, string_at(use, "users"));
    stated(out, "HowToUse", p, string_at(use, "how_to_use"));
    stated(out, "TargetedPatientPopulation", p, string_at(use, "population"));
    stated(out, "CautionedOutOfScopeSettings", p, string_at(use, "out_of_scope"));
    fputs("</UsesAndDirections>\n<Warnings>\n", out);
    stated(out, "KnownRisksAndLimitations", p, string_at(limits, "risks"));
    stated(out, "KnownBiasesOrEthicalConsiderations", p, string_at(limits, "biases"));
    stated(out, "ClinicalRiskLevel", p, string_at(use, "clinical_risk_level"));
    fputs("</Warnings>\n", out);
}

static void development_data(FILE *out, const json_t *training)
{
    size_t i;
    const json_t *site;
    fputs("<DevelopmentDataCharacterization>", out);
    json_array_foreach(json_object_get(training, "sites"), i, site)
    {
        fprintf(out, "%s", i ? "; " : "");
        html_text(out, string_at(site, "site"));
        fputs(": ", out);
        html_text(out, string_at(site, "n_band"));
        fputs(" patients, data ", out);
        html_label(out, string_at(site, "dataset_fingerprint"), 12);
    }
    fputs("</DevelopmentDataCharacterization>\n", out);
}

static void trust_part(FILE *out, const json_t *p)
{
    const json_t *model = json_object_get(p, "model"), *training = json_object_get(p, "training");
    const json_t *privacy = json_object_get(p, "privacy");
    fputs("<TrustIngredients>\n<AISystemFacts>\n", out);
    element(out, "OutcomesAndOutputs", string_at(model, "task"));
    element(out, "ModelType", string_at(model, "kind"));
    fputs("<InputDataSource>Records of the member sites; plan ", out);
    html_text(out, string_at(training, "plan_sha256"));
    fputs("</InputDataSource>\n<OutputAndInputDataTypes>Tabular features in, risk or value out; "
          "schema ",
          out);
    html_text(out, string_at(model, "schema_sha256"));
    fputs("</OutputAndInputDataTypes>\n", out);
    development_data(out, training);
    fputs("<BiasMitigationApproaches>Every candidate is compared with the model in use by subgroup "
          "(rule 7 of the gate).</BiasMitigationApproaches>\n<OngoingMaintenance>",
          out);
    html_text(out,
              string_at(json_object_get(p, "deployment"), "pccp_sha256")[0]
                  ? "Under a predetermined change control plan; monitored and suspended by rule."
                  : "Monitored and suspended by rule; no change control plan is in force.");
    fputs("</OngoingMaintenance>\n<Security>Privacy: ", out);
    html_text(out, string_at(privacy, "mechanism"));
    if (string_at(privacy, "epsilon_spent_max")[0]) {
        fputs(", epsilon ", out);
        html_text(out, string_at(privacy, "epsilon_spent_max"));
        fputs(" at delta ", out);
        html_text(out, string_at(privacy, "delta"));
    }
    fputs("</Security>\n<Transparency>Signed passport with a proof in an audit log of root ", out);
    html_text(out, string_at(json_object_get(p, "log"), "root"));
    fputs("</Transparency>\n</AISystemFacts>\n<TransparencyInformation>\n", out);
    element(out, "FundingSource", "");
    element(out, "StakeholdersConsulted", "");
    fputs("</TransparencyInformation>\n</TrustIngredients>\n", out);
}

/* One figure of the gate: its label, and its value as JSON text. */
static void figure(FILE *out, const char *label, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    fputs("<MetricResult>\n", out);
    element(out, "Label", label);
    fputs("<ValueJson>", out);
    html_text(out, text ? text : "null");
    fputs("</ValueJson>\n</MetricResult>\n", out);
    free(text);
}

struct metric {
    const char *name, *goal, *label, *key, *label2, *key2, *interpretation;
};

static void key_metric(FILE *out, const json_t *judged, const struct metric *m)
{
    fprintf(out, "<%s>\n", m->name);
    element(out, "MetricGoal", m->goal);
    fputs("<Results>\n", out);
    figure(out, m->label, json_object_get(judged, m->key));
    figure(out, m->label2, json_object_get(judged, m->key2));
    fputs("</Results>\n", out);
    element(out, "Interpretation", m->interpretation);
    element(out, "TestType", "External to training: holdout patients of every member site.");
    element(out, "TestingDataDescription", string_at(judged, "estimand"));
    fputs("<ValidationProcessAndJustification>Gate of ten rules in a fixed order, ", out);
    html_text(out, string_at(judged, "gate_id"));
    fputs(", decision ", out);
    html_text(out, string_at(judged, "decision"));
    fprintf(
        out,
        "; computed again by anybody from the exported log.</ValidationProcessAndJustification>\n"
        "</%s>\n",
        m->name);
}

void passport_chai(FILE *out, const json_t *p)
{
    static const struct metric METRICS[] = {
        {"UsefulnessUsabilityEfficacy",
         "Discrimination over the floor, and not worse than the model in use by the margin.",
         "AUROC, pooled over sites", "auc", "difference to the model in use", "delta",
         "Bounds are one-sided; the claim about a new hospital is the transport part."},
        {"FairnessEquity", "No subgroup worse than before beyond chance.",
         "by site, with the worst subgroup", "sites", "rules of the gate", "rules",
         "Groups below the minimum cell are not shown."},
        {"SafetyReliability", "Calibrated, no site harmed, no drift.", "at a new hospital",
         "transport", "rules of the gate", "rules", "Rules 4, 6 and 8."},
    };
    const json_t *judged = json_array_get(json_object_get(p, "validation"), 0);
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<AppliedModelCard xmlns=\"https://mc.chai.org/v0.2/schema.xsd\">\n",
          out);
    release_part(out, p);
    summary_part(out, p);
    human_part(out, p);
    trust_part(out, p);
    fputs("<KeyMetrics>\n", out);
    for (size_t i = 0; i < sizeof METRICS / sizeof *METRICS; i++)
        key_metric(out, judged, &METRICS[i]);
    fputs("</KeyMetrics>\n<Resources>\n", out);
    element(out, "EvaluationReferences", "The signed passport and the exported audit log.");
    element(out, "PeerReviewedPublications", "");
    element(out, "PatientConsentOrDisclosure", "");
    fputs("</Resources>\n<Bibliography/>\n</AppliedModelCard>\n", out);
}
