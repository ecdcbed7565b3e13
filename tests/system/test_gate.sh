#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Gate, stages, signatures, passport and their audit, end to end over real processes: one study whose
# model is promoted, a second one judged against it under a change control plan and an alpha ledger, a
# third under another ledger, a fourth beyond the plan, a tampered passport, a rollback.
set -eu
. "$(dirname "$0")/federation.sh"

# said CODE TEXT COMMAND...: ends with that code; what it printed is kept in dir/said and holds TEXT (a regular expression).
said() {
    said_code=$1 said_text=$2
    shift 2
    said_got=0
    "$@" >"$dir/said" 2>&1 || said_got=$?
    cat "$dir/said"
    [ "$said_got" = "$said_code" ] || {
        echo "the exit code is $said_got, not $said_code"
        return 1
    }
    too "$said_text"
}
# too TEXT...: each is there as well.
too() {
    for too_text in "$@"; do
        grep -qE -- "$too_text" "$dir/said" || {
            echo "'$too_text' is not in: $(cat "$dir/said")"
            return 1
        }
    done
}
in_file() { # in_file FILE TEXT...
    cp "$dir/$1" "$dir/said"
    shift
    too "$@"
}
gate_plan() { # gate_plan STUDY ROUNDS [THRESHOLD]
    plan "$1" "alpha, beta, gamma" "$2" "training.steps: 12" "training.learning_rate: 1" "privacy.mode: none" \
        "privacy.epsilon: -" "privacy.delta: -" "privacy.clip_norm: -" "aggregation.rule: weighted-mean" \
        "aggregation.quorum: 3" "aggregation.deadline_s: 40" "validation.every: 0" "validation.holdout: 0.5"
    sed -i 's/^compression:.*/compression: none/' "$dir/$1.yaml"
    cat >>"$dir/$1.yaml" <<END
  min_cell: 11
  margin: 0.02
  threshold: ${3:-0.5}
subgroups:
  - {column: sex, levels: ["0", "1"]}
END
}
study() { # study NAME: launched, and watched to its end
    by ada launch "$dir/$1.yaml" && CONSILIUM_IDENTITY=$dir/ada timeout 300 "$consilium" watch "$1"
}
promote() { # promote STUDY: a researcher, an auditor and an operator sign it into use
    for who in ada ruth ada "$operator" ruth; do by $who model promote "$1" || return 1; done
}
verify() { # verify CODE TEXT PASSPORT OPTION...: of a passport, by the auditor
    verify_code=$1 verify_text=$2 passport=$dir/$3
    shift 3
    said "$verify_code" "$verify_text" by ruth model passport --verify "$passport" "$@"
}

open_consortium
operator=consortium/operator
must enrol ruth auditor "$dir/ruth"
cat >"$dir/consortium/gate.json" <<'END'
{"policy": {"auc_floor": 0.7, "slope_min": 0.3, "slope_max": 3, "ece_excess_max": 0.2},
 "stages": {"shadow_min_days": 0, "pilot_min_days": 0},
 "ledger": {"policy": "fixed", "alpha_micro": 100000}}
END
sed 's/"policy": "fixed", "alpha_micro": 100000/"policy": "bac"/' "$dir/consortium/gate.json" >"$dir/bac.json"
end_process TERM coordinator
start_coordinator
add_site alpha 11 0.2 600
add_site beta 12 0.0 500
add_site gamma 13 -0.2 400
for site in alpha beta gamma; do start_site $site; done
gate_plan first 6
gate_plan second 8
gate_plan third 9
gate_plan fourth 8 0.4

# ---- a first model, from proposed to promoted ------------------------------------------------------
check "no gate is told of before a study" said 1 "no gate has judged" by ada gate explain first
check "the first study runs" study first
check "the gate promotes its model" said 0 "PROMOTE" by ruth gate explain first
check "a first model has no incumbent" too "no model of this kind is in use"
check "and no passport yet" said 1 "a passport is for a model in use" by ada model passport first --out "$dir/early.json"
check "it becomes shadow" said 0 "is now shadow" by ada model promote first
check "with a reason" said 0 "1 more" by ada model promote first --reason "calibrated"
check "twice by one is once" said 0 "1 more" by ada model promote first
check "it becomes pilot" said 0 "is now pilot" by ruth model promote first
check "whose next step needs another" said 0 "1 more" by ruth model promote first
check "it is promoted by the operator" said 0 "is now promoted" by $operator model promote first
check "and listed so" said 0 "promoted" by ada model list
check "it has a passport" said 0 "signed passport" by ada model passport first --out "$dir/first.passport"

# ---- groups and label-free figures reach everybody who reads ---------------------------------------
check "the report compares groups" said 0 "sex=1 .*(lower|higher) than sex=0 by .*p \(Holm\)" by ada report first --out "$dir/report"
check "and tells what scores promise" too "alpha .*AUROC by its scores alone 0\.[5-9].*, measured 0\."
check "so does status" said 0 "er than sex=0" by ada status first
check "with the scores" too "by its scores alone"
check "so does a validation" said 0 "er than sex=0" by ada validate --study first --wait
check "by site" too "beta .*by its scores alone 0"
check "report.json has the groups" holds "$dir/report/report.json" \
    "[g['group'] for g in r['disparity']['pooled']['groups']] == ['sex=1'] and 0 <= r['disparity']['pooled']['groups'][0]['p_holm'] <= 1"
check "and expected figures" grep -q '"expected_auroc": *0' "$dir/report/report.json"
check "report.html has both" in_file report/report.html "How far groups lie apart" "What the scores alone promise" "p \(Holm\)"
check "the log goes home" by ruth audit export --out "$dir/before"

# ---- changes agreed beforehand: two people sign, an operator among them ----------------------------
check "a plan's changes are told" said 0 "changes: retrain, hyperparameters" by ada gate pccp check "$dir/second.yaml" --before "$dir/first.yaml"
test_set=$(sed -n 's/^test_set_sha256: //p' "$dir/said")
printf '{"allowed": ["retrain", "hyperparameters"], "ni_margin_max": 0.02, "patients_min": 100, "notify_sites": true, "test_set_sha256": "%s"}' \
    "$test_set" >"$dir/pccp.json"
echo '{"allowed": ["intended_use"]}' >"$dir/bad.json"
check "another use is not agreed beforehand" said 2 "cannot be agreed beforehand" by ada gate pccp set "$dir/bad.json"
check "one person signs" said 0 "signed by 1 of 2" by ada gate pccp set "$dir/pccp.json"
check "two are not enough without an operator" said 0 "signed by 2 of 2 people, an operator" by ruth gate pccp set "$dir/pccp.json"
check "nothing is in force yet" said 0 "no change-control is in force" by ada gate pccp show
check "the operator signs" said 0 "is in force, signed by 3" by $operator gate pccp set "$dir/pccp.json"

# ---- a second one, judged against it on the same patients ------------------------------------------
check "the second study runs" study second
check "the gate promotes it" said 0 "PROMOTE" by ruth gate explain second
check "against the model in use, by difference and groups, within the plan" too "against the model in use" \
    "candidate less incumbent" "sex=0" "within the change control plan.*: retrain, hyperparameters"
check "at the ledger's price" too "alpha ledger: fixed; this candidate has alpha 0.050000, the next one would get 0.025000"
check "the sites are told" grep -q "the gate says PROMOTE on model .*changes: retrain, hyperparameters" "$dir/log/beta"
check "as JSON too" said 0 '"decision":"PROMOTE"' by ruth gate explain second --json
check "it comes into use" promote second
check "the first retires" said 0 "retired" by ada model show first
check "the second has a passport" said 0 "signed passport" by ada model passport second --out "$dir/second.passport"

# ---- what only people can state, signed apart ------------------------------------------------------
check "without what nobody has stated" sh -c "! grep -q intended_use '$dir/second.passport'"
second=$(by ada model show second --json | sed 's/.*"model": *"\([0-9a-f]*\)".*/\1/')
printf '{"model": "%s", "role": "clinical lead", "clinical_risk_level": "moderate",
 "intended_use": {"text": "Risk of an event <in a test>", "population": "adults", "users": "ward physicians",
                  "how_to_use": "beside the chart", "out_of_scope": "children"},
 "warnings": {"risks": "made-up patients", "biases": "two numbers only"}}' "$second" >"$dir/human.json"
sed 's/"biases"/"biasses"/' "$dir/human.json" >"$dir/human-bad.json"
check "an unknown statement is refused" said 2 "biases" by ruth model passport --sign-human "$dir/human-bad.json" second
check "one on another model too" said 2 "about another model" by ruth model passport --sign-human "$dir/human.json" first
check "the auditor states the use" said 0 "is in force, signed by 1" by ruth model passport --sign-human "$dir/human.json" second
cp "$dir/second.passport" "$dir/second-early.passport"
check "it is in the next passport" said 0 "signed passport" by ada model passport second --out "$dir/second.passport"

# ---- a third one under a policy that asks for newer patients; a fourth beyond the plan -------------
check "another policy is signed once" said 0 "signed by 1 of 2" by ada gate policy set "$dir/bac.json"
check "and by the operator" said 0 "gate-policy .* is in force" by $operator gate policy set "$dir/bac.json"
check "and shown" said 0 '"policy": "bac"' by ruth gate policy show
check "the third study runs" study third
check "its gate holds" said 1 "bac gave this candidate alpha 0.010000 and does not approve it" by ruth gate explain third
check "because of the ledger, and says when" too "third.*: HOLD" "because of alpha_ledger" "judged on holdout epochs that begin after this one"
check "the ledger tells it" said 0 "policy bac, 0.010000 of alpha spent" by ada gate ledger
check "the fourth study runs" study fourth
check "its threshold was not agreed" said 1 "does not allow 'threshold'" by ruth gate explain fourth
check "its gate rejects" too "fourth.*: REJECT"
check "which costs nothing" said 0 "policy bac, 0.010000 of alpha spent" by ada gate ledger

# ---- the log tells all of it, and is computed again -------------------------------------------------
check "the log goes home again" by ruth audit export --out "$dir/audit"
check "all gates are judged again" said 0 "4 gate decisions" by ruth audit verify "$dir/audit"
check "it extends the one before" said 0 "2 signed tree heads hold" by ruth audit verify "$dir/audit" --head "$dir/before/tree.head"
check "not the other way round" said 1 "more entries than the log has" by ruth audit verify "$dir/before" --head "$dir/audit/tree.head"
check "the passport stands in it" verify 0 "passport verified" second.passport --audit "$dir/audit"
check "witnessed by all sites" too "its log extends the heads signed by alpha \(.*, beta \(.*, gamma \("
check "with what people stated" too "intended use signed by ruth \(clinical lead\), clinical risk moderate"
check "an early passport lacks it" verify 1 "human part" second-early.passport --audit "$dir/audit"
sleep 1
check "an old one is refused" verify 1 "days old" second.passport --audit "$dir/audit" --max-age 0.000001
check "it becomes a model card" verify 0 "passport verified" second.passport --format chai --out "$dir/card.xml"
check "with the parts that readers ask for" in_file card.xml "<AppliedModelCard" \
    "Risk of an event &lt;in a test&gt; \[signed apart by ruth" "<ReleaseStage>promoted<" "<ClinicalRiskLevel>moderate" \
    "<ModelType>logistic<" "<DevelopmentDataCharacterization>alpha: 500-999"
check "as JSON it tells all" verify 0 '"secure_aggregation":false' second.passport --json
check "down to versions and witnesses" too '"mode":"threshold"' pccp_sha256 alpha_spent '"signed_reports":\["log entry' \
    build_sha256 worst_group dataset_fingerprint '"reml"' cpu_seconds '"witnesses":\[\{"site":"alpha"'
check "a retired model's passport is not current" verify 1 "revoked|human part" first.passport --audit "$dir/audit"
check "though its signature holds" verify 0 "passport verified" first.passport
# One character of the signed text changed.
sed 's/"payload":"\(......................................................\)./"payload":"\1Q/' \
    "$dir/second.passport" >"$dir/tampered.passport"
check "something was tampered with" sh -c "! cmp -s '$dir/second.passport' '$dir/tampered.passport'"
check "a tampered passport is refused" verify 1 "signed|base64|not a passport" tampered.passport
# A gate's record changed in the log.
cp -r "$dir/audit" "$dir/forged"
sed 's/"decision\\":\\"PROMOTE/"decision\\":\\"REJECT/; s/decision\(.*\)PROMOTE/decision\1REJECT/' \
    "$dir/audit/log.jsonl" >"$dir/forged/log.jsonl"
check "a forged gate is found" said 1 "log entry" by ruth audit verify "$dir/forged"

# ---- an incident, in its order ----------------------------------------------------------------------
check "an incident is opened" said 0 "acknowledge  due" by ada incident open second --severity serious --text "alerts doubled"
number=$(cut -d ' ' -f 1 "$dir/said" | head -n 1)
check "it is not closed first" said 1 "comes before" by ada incident close "$number"
for step in acknowledge contain report close; do
    check "$step comes in its order" said 0 "$step *done" by ada incident "$step" "$number"
done
check "it is listed" said 0 "$number" by ruth incident list

# ---- a rollback at night: one signature --------------------------------------------------------------
check "an auditor may not roll back" said 1 "an auditor" by ruth model rollback second
check "an operator may" said 0 "is now suspended" by $operator model rollback second --reason "alerts doubled"
check "the first is in use again" said 0 "promoted" by ada model show first
check "the second is not" said 0 "suspended" by ada model show second
