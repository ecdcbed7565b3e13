#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Gate, stages, signatures, passport and their audit, end to end over real processes: one study whose
# model is promoted, a second one judged against it under a change control plan and an alpha ledger, a
# third under another ledger, a fourth beyond the plan, a tampered passport, a rollback.
set -eu
build=${CONSILIUM_BUILD:?is the build folder}
consilium=$build/coordinator/cli/consilium
coordinator=$build/coordinator/consilium-coordinator
agent=$build/agent/cli/consilium-agent
vault=$build/agent/consilium-vault
out=$(mktemp -d "${TMPDIR:-/tmp}/consilium-gate-XXXXXX")

broker=$(command -v mosquitto || echo /usr/sbin/mosquitto)
[ -x "$broker" ] || { echo "no mosquitto: passed over" && exit 77; }
mkdir -p "$out/log"
pids=
stop_all() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait "$pid" 2>/dev/null || true; done
    [ -n "${KEEP:-}" ] || rm -rf "$out"
}
trap stop_all EXIT
die() {
    echo "test_gate.sh: $*" >&2
    exit 1
}
must_fail() { # must_fail TEXT COMMAND...
    text=$1
    shift
    if "$@" >"$out/log/failed.txt" 2>&1; then die "'$*' should have been refused"; fi
    grep -q "$text" "$out/log/failed.txt" || die "'$*' says: $(cat "$out/log/failed.txt")"
}
says() { # says TEXT COMMAND...
    text=$1
    shift
    "$@" >"$out/log/said.txt" 2>&1 || die "'$*' failed: $(cat "$out/log/said.txt")"
    grep -q -- "$text" "$out/log/said.txt" || die "'$*' says: $(cat "$out/log/said.txt")"
}

# ---- patients: a risk that two numbers tell of, three sites ---------------------------------------
make_site() { # make_site NAME SEED ROWS
    awk -v seed="$2" -v rows="$3" 'BEGIN {
        srand(seed); print "id,age,marker,sex,event"
        for (i = 1; i <= rows; i++) {
            age = 30 + 50 * rand(); marker = 10 * rand(); sex = rand() < 0.5 ? "female" : "male"
            risk = 1 / (1 + exp(-(0.12 * (age - 55) + 0.9 * (marker - 5))))
            printf "%s-%d,%.1f,%.2f,%s,%s\n", seed, i, age, marker, sex, rand() < risk ? "yes" : "no"
        }
    }' >"$out/$1.csv"
}
make_site alpha 1 600
make_site beta 2 500
make_site gamma 3 400
plan() { # plan STUDY ROUNDS [THRESHOLD]
    cat >"$out/$1.yaml" <<EOF
version: 1
study: $1
title: A marker of an event
purpose: System test of the promotion gate
sites: [alpha, beta, gamma]
patient_id: id
label: {column: event, type: binary, levels: ["no", "yes"]}
features:
  - {name: age, type: number, unit: years, range: [18, 100], missing: centre}
  - {name: marker, type: number, unit: mg/l, range: [0, 10], missing: centre}
subgroups:
  - {column: sex, levels: [female, male]}
model: {kind: logistic}
training: {rounds: $2, epochs: 4, batch: 32, learning_rate: 0.5, seed: 7}
privacy: {mode: none}
aggregation: {rule: weighted-mean, quorum: 3, deadline_s: 30}
validation: {every: 0, holdout: 0.4, min_cell: 11, margin: 0.02, threshold: ${3:-0.5}}
EOF
}
plan first 6
plan second 8
plan third 9
plan fourth 8 0.4

# ---- the consortium ------------------------------------------------------------------------------
# The keys that draw the holdouts are given, so that every run judges on the same patients.
port=$((20000 + ($$ * 37) % 12000))
while grep -qi ":$(printf '%04X' "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null; do port=$((port + 1)); done
consortium=$out/consortium
"$consilium" init "$consortium" --name gatetest --host 127.0.0.1 --port "$port" >"$out/log/init.txt"
cat >"$consortium/gate.json" <<'EOF'
{"policy": {"auc_floor": 0.7, "slope_min": 0.3, "slope_max": 3, "ece_excess_max": 0.2},
 "stages": {"shadow_min_days": 0, "pilot_min_days": 0},
 "ledger": {"policy": "fixed", "alpha_micro": 100000}}
EOF
sed 's/"policy": "fixed", "alpha_micro": 100000/"policy": "bac"/' "$consortium/gate.json" >"$out/bac.json"
for person in researcher auditor; do
    "$consilium" site request "$out/$person" --name "$person" --role "$person" >"$out/log/$person.txt"
    "$consilium" site approve "$consortium" "$out/$person/$person.request" --yes >>"$out/log/$person.txt"
    "$consilium" site install "$out/$person" "$consortium/bundles/$person.bundle" --yes >>"$out/log/$person.txt"
done
for site in alpha beta gamma; do
    folder=$out/$site
    "$agent" enrol "$folder" --name "$site" >"$out/log/enrol-$site.txt"
    "$consilium" site approve "$consortium" "$folder/$site.request" --yes >>"$out/log/enrol-$site.txt"
    "$agent" enrol "$folder" --install "$consortium/bundles/$site.bundle" --yes >>"$out/log/enrol-$site.txt"
    mkdir -p "$folder/data"
    mkdir -m 700 "$folder/vault"
    (umask 077 && printf '%032d' 7 >"$folder/vault/holdout.key")
    cp "$out/$site.csv" "$folder/data/"
    printf 'version: 1\ndata: %s.csv\ndeclared_patients: 600\n' "$site" >"$folder/mapping.yaml"
    cat >"$folder/policy.yaml" <<'EOF'
version: 1
decision: allow
researchers: [researcher]
privacy_required: false
epsilon_per_study: 8
epsilon_per_year: 16
epsilon_total: 32
delta: 1.0e-5
min_patients: 50
EOF
done
"$broker" -c "$consortium/broker/mosquitto.conf" >"$out/log/broker.log" 2>&1 &
pids="$! $pids"
"$coordinator" --dir "$consortium" >"$out/log/coordinator.log" 2>&1 &
pids="$! $pids"
for site in alpha beta gamma; do
    "$agent" run "$out/$site" --vault "$vault" >"$out/log/$site.log" 2>&1 &
    pids="$! $pids"
done
sleep 1
r="--as $out/researcher"
a="--as $out/auditor"
o="--as $consortium/operator"
# Below, $r, $a and $o are meant to split into option and folder.
# shellcheck disable=SC2086
{
    # ---- a first model, from proposed to promoted --------------------------------------------------
    must_fail "there is no study\|no gate has judged" "$consilium" gate explain first $r
    "$consilium" launch "$out/first.yaml" $r >"$out/log/launch.txt"
    "$consilium" watch first $r >"$out/log/watch-first.txt" || die "the first study did not finish"
    says "PROMOTE" "$consilium" gate explain first $a
    grep -q "no model of this kind is in use" "$out/log/said.txt" || die "a first model has no incumbent"
    must_fail "a passport is for a model in use" "$consilium" model passport first --out "$out/early.json" $r
    says "is now shadow" "$consilium" model promote first $r
    says "1 more" "$consilium" model promote first $r --reason "calibrated"
    says "1 more" "$consilium" model promote first $r
    says "is now pilot" "$consilium" model promote first $a
    says "1 more" "$consilium" model promote first $a
    says "is now promoted" "$consilium" model promote first $o
    says "promoted" "$consilium" model list $r
    says "signed passport" "$consilium" model passport first --out "$out/first.passport" $r

    # ---- groups and label-free figures reach everybody who reads ------------------------------------
    says "sex=male .*lower than sex=female by .*p (Holm)" "$consilium" report first $r --out "$out/report"
    grep -q "alpha .*AUROC by its scores alone 0\.[5-9].*, measured 0\." "$out/log/said.txt" ||
        die "no label-free AUROC: $(cat "$out/log/said.txt")"
    says "lower than sex=female" "$consilium" status first $r
    grep -q "by its scores alone" "$out/log/said.txt" || die "status: $(cat "$out/log/said.txt")"
    says "lower than sex=female" "$consilium" validate --study first --wait $r
    grep -q "beta .*by its scores alone 0" "$out/log/said.txt" || die "validate: $(cat "$out/log/said.txt")"
    tr -d ' \n' <"$out/report/report.json" >"$out/report/flat.json"
    for wanted in '"disparity":{"pooled":{"groups":\[{"group":"sex=male"' '"p_holm":[01]' '"expected_auroc":0'; do
        grep -q "$wanted" "$out/report/flat.json" || die "report.json lacks $wanted"
    done
    for wanted in "How far groups lie apart" "What the scores alone promise" "p (Holm)"; do
        grep -q "$wanted" "$out/report/report.html" || die "report.html lacks $wanted"
    done

    "$consilium" audit export --out "$out/before" $a >"$out/log/export.txt"

    # ---- changes agreed beforehand: two people sign, an operator among them ------------------------
    test_set=$("$consilium" gate pccp check "$out/second.yaml" --before "$out/first.yaml" |
        tee "$out/log/classes.txt" | sed -n 's/^test_set_sha256: //p')
    grep -q "changes: retrain, hyperparameters" "$out/log/classes.txt" || die "$(cat "$out/log/classes.txt")"
    printf '{"allowed": ["retrain", "hyperparameters"], "ni_margin_max": 0.02, "patients_min": 100, "notify_sites": true, "test_set_sha256": "%s"}' \
        "$test_set" >"$out/pccp.json"
    echo '{"allowed": ["intended_use"]}' >"$out/bad.json"
    must_fail "cannot be agreed beforehand" "$consilium" gate pccp set "$out/bad.json" $r
    says "signed by 1 of 2" "$consilium" gate pccp set "$out/pccp.json" $r
    says "signed by 2 of 2 people, an operator" "$consilium" gate pccp set "$out/pccp.json" $a
    says "no change-control is in force" "$consilium" gate pccp show $r
    says "is in force, signed by 3" "$consilium" gate pccp set "$out/pccp.json" $o

    # ---- a second one, judged against it on the same patients --------------------------------------
    "$consilium" launch "$out/second.yaml" $r >"$out/log/launch.txt"
    "$consilium" watch second $r >"$out/log/watch-second.txt" || die "the second study did not finish"
    "$consilium" gate explain second $a >"$out/log/explain-second.txt" || true
    grep -q "against the model in use" "$out/log/explain-second.txt" || die "the second has an incumbent"
    grep -q "candidate less incumbent" "$out/log/explain-second.txt" || die "rule 3 has no difference"
    grep -q "sex=female" "$out/log/explain-second.txt" || die "no groups were compared"
    grep -q "within the change control plan.*: retrain, hyperparameters" "$out/log/explain-second.txt" ||
        die "rule 1 does not tell the change: $(cat "$out/log/explain-second.txt")"
    grep -q "the gate says PROMOTE on model .*changes: retrain, hyperparameters" "$out/log/beta.log" ||
        die "the site was not told: $(tail -n 5 "$out/log/beta.log")"
    grep -q "alpha ledger: fixed; this candidate has alpha 0.050000, the next one would get 0.025000" \
        "$out/log/explain-second.txt" || die "no alpha was spent: $(cat "$out/log/explain-second.txt")"
    says '"decision":"PROMOTE"' "$consilium" gate explain second $a --json
    for who in "$r" "$a" "$r" "$o" "$a"; do
        "$consilium" model promote second $who >>"$out/log/promote-second.txt"
    done
    says "retired" "$consilium" model show first $r
    says "signed passport" "$consilium" model passport second --out "$out/second.passport" $r

    # ---- what only people can state, signed apart ---------------------------------------------------
    grep -q intended_use "$out/second.passport" && die "nobody has stated anything yet"
    second=$("$consilium" model show second $r --json | sed 's/.*"model": *"\([0-9a-f]*\)".*/\1/')
    printf '{"model": "%s", "role": "clinical lead", "clinical_risk_level": "moderate",
 "intended_use": {"text": "Risk of an event <in a test>", "population": "adults", "users": "ward physicians",
                  "how_to_use": "beside the chart", "out_of_scope": "children"},
 "warnings": {"risks": "made-up patients", "biases": "two numbers only"}}' "$second" >"$out/human.json"
    sed 's/"biases"/"biasses"/' "$out/human.json" >"$out/human-bad.json"
    must_fail "biases" "$consilium" model passport --sign-human "$out/human-bad.json" second $a
    must_fail "about another model" "$consilium" model passport --sign-human "$out/human.json" first $a
    says "is in force, signed by 1" "$consilium" model passport --sign-human "$out/human.json" second $a
    cp "$out/second.passport" "$out/second-early.passport"
    says "signed passport" "$consilium" model passport second --out "$out/second.passport" $r

    # ---- a third one under a policy that asks for newer patients; a fourth beyond the plan ----------
    says "signed by 1 of 2" "$consilium" gate policy set "$out/bac.json" $r
    says "gate-policy .* is in force" "$consilium" gate policy set "$out/bac.json" $o
    says '"policy": "bac"' "$consilium" gate policy show $a
    "$consilium" launch "$out/third.yaml" $r >"$out/log/launch.txt"
    "$consilium" watch third $r >"$out/log/watch-third.txt" || die "the third study did not finish"
    must_fail "bac gave this candidate alpha 0.010000 and does not approve it" "$consilium" gate explain third $a
    grep -q "third.*: HOLD" "$out/log/failed.txt" || die "$(cat "$out/log/failed.txt")"
    grep -q "because of alpha_ledger" "$out/log/failed.txt" || die "$(cat "$out/log/failed.txt")"
    grep -q "judged on holdout epochs that begin after this one" "$out/log/failed.txt" || die "no reason"
    says "policy bac, 0.010000 of alpha spent" "$consilium" gate ledger $r
    "$consilium" launch "$out/fourth.yaml" $r >"$out/log/launch.txt"
    "$consilium" watch fourth $r >"$out/log/watch-fourth.txt" || die "the fourth study did not finish"
    must_fail "does not allow 'threshold'" "$consilium" gate explain fourth $a
    grep -q "fourth.*: REJECT" "$out/log/failed.txt" || die "$(cat "$out/log/failed.txt")"
    says "policy bac, 0.010000 of alpha spent" "$consilium" gate ledger $r

    # ---- the log tells all of it, and is computed again --------------------------------------------
    "$consilium" audit export --out "$out/audit" $a >"$out/log/export.txt"
    says "4 gate decisions" "$consilium" audit verify "$out/audit" $a
    says "2 signed tree heads hold" "$consilium" audit verify "$out/audit" $a --head "$out/before/tree.head"
    must_fail "more entries than the log has" "$consilium" audit verify "$out/before" $a --head "$out/audit/tree.head"
    says "passport verified" "$consilium" model passport --verify "$out/second.passport" --audit "$out/audit" $a
    grep -q "its log extends the heads signed by alpha (.*, beta (.*, gamma (" "$out/log/said.txt" ||
        die "the witnesses are missing: $(cat "$out/log/said.txt")"
    grep -q "intended use signed by auditor (clinical lead), clinical risk moderate" "$out/log/said.txt" ||
        die "the human part is missing: $(cat "$out/log/said.txt")"
    must_fail "human part" "$consilium" model passport --verify "$out/second-early.passport" --audit "$out/audit" $a
    sleep 1
    must_fail "days old" "$consilium" model passport --verify "$out/second.passport" --audit "$out/audit" --max-age 0.000001 $a
    says "passport verified" "$consilium" model passport --verify "$out/second.passport" --format chai --out "$out/card.xml" $a
    for wanted in "<AppliedModelCard" "Risk of an event &lt;in a test&gt; \[signed apart by auditor" \
        "<ReleaseStage>promoted<" "<ClinicalRiskLevel>moderate" "<ModelType>logistic<" "<DevelopmentDataCharacterization>alpha: 500-999"; do
        grep -q "$wanted" "$out/card.xml" || die "the model card lacks $wanted: $(cat "$out/card.xml")"
    done
    "$consilium" model passport --verify "$out/second.passport" --json $a >"$out/passport.json"
    for wanted in '"secure_aggregation":false' '"mode":"threshold"' pccp_sha256 alpha_spent '"signed_reports":\["log entry' build_sha256 worst_group dataset_fingerprint '"reml"' cpu_seconds '"witnesses":\[{"site":"alpha"'; do
        grep -q "$wanted" "$out/passport.json" || die "the passport lacks $wanted: $(cat "$out/passport.json")"
    done
    must_fail "revoked\|human part" "$consilium" model passport --verify "$out/first.passport" --audit "$out/audit" $a
    says "passport verified" "$consilium" model passport --verify "$out/first.passport" $a
    # One character of the signed text changed.
    sed 's/"payload":"\(......................................................\)./"payload":"\1Q/' \
        "$out/second.passport" >"$out/tampered.passport"
    cmp -s "$out/second.passport" "$out/tampered.passport" && die "nothing was tampered with"
    must_fail "signed\|base64\|not a passport" "$consilium" model passport --verify "$out/tampered.passport" $a
    # A gate's record changed in the log.
    cp -r "$out/audit" "$out/forged"
    sed 's/"decision\\":\\"PROMOTE/"decision\\":\\"REJECT/; s/decision\(.*\)PROMOTE/decision\1REJECT/' \
        "$out/audit/log.jsonl" >"$out/forged/log.jsonl"
    must_fail "log entry" "$consilium" audit verify "$out/forged" $a

    # ---- an incident, in its order ------------------------------------------------------------------
    says "acknowledge  due" "$consilium" incident open second --severity serious --text "alerts doubled" $r
    number=$(cut -d ' ' -f 1 "$out/log/said.txt" | head -n 1)
    must_fail "comes before" "$consilium" incident close "$number" $r
    for step in acknowledge contain report close; do
        says "$step *done" "$consilium" incident "$step" "$number" $r
    done
    says "$number" "$consilium" incident list $a

    # ---- a rollback at night: one signature ---------------------------------------------------------
    must_fail "an auditor" "$consilium" model rollback second $a
    says "is now suspended" "$consilium" model rollback second $o --reason "alerts doubled"
    says "promoted" "$consilium" model show first $r
    says "suspended" "$consilium" model show second $r
}
echo "gate, stages, passport and rollback hold"
