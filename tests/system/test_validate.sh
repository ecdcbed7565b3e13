#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A finished model evaluated again at its sites, watched by looks, suspended when one site's figures
# collapse, rolled back; sites that refuse, ask or are away as typed non-results; the audit of all of it.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
must enrol omar operator "$dir/omar"
must enrol ruth auditor "$dir/ruth"
cat >"$dir/consortium/gate.json" <<'END'
{"policy": {"auc_floor": 0.6, "slope_min": 0.2, "slope_max": 5, "ece_excess_max": 0.3},
 "stages": {"shadow_min_days": 0, "pilot_min_days": 0}}
END
end_process TERM coordinator
start_coordinator
add_site alpha 11 0.2 260
add_site beta 12 0.0 220
add_site gamma 13 -0.2 200
for site in alpha beta gamma; do
    must start_site $site
done
plain() { # plan STUDY ROUNDS
    # Trained to the end: a model of few steps is not calibrated, and the looks below would rightly say so.
    plan "$1" "alpha, beta, gamma" "$2" "privacy.mode: none" "privacy.epsilon: -" "privacy.delta: -" \
        "privacy.clip_norm: -" "compression.x: -" "validation.every: 0" "validation.holdout: 0.5" \
        "aggregation.rule: weighted-mean" "aggregation.quorum: 3" "aggregation.deadline_s: 40" \
        "training.steps: 12" "training.learning_rate: 1"
    sed -i 's/^compression:.*/compression: none/; s/trimmed-mean/weighted-mean/; s/  mode: patient/  mode: none/' "$dir/$1.yaml"
    must by ada launch "$dir/$1.yaml"
    must finish "$1" 120
}
promote() { # promote STUDY: proposed, shadow, pilot, promoted
    by ada model promote "$1" >/dev/null
    for step in 1 2; do
        by ada model promote "$1" && by omar model promote "$1" || return 1
    done
    by ada model show "$1" | grep -q promoted
}
run() { # run FILE ARGUMENT...: a validation as JSON into FILE; its exit code is kept
    out=$1
    shift
    CONSILIUM_IDENTITY=$dir/ada timeout 360 "$consilium" validate "$@" --wait --json >"$dir/$out" 2>"$dir/run.err" || [ $? = 1 ] || { cat "$dir/run.err"; return 1; }
}
status_of() { # status_of FILE SITE STATUS
    holds "$dir/$1" "[s['status'] for s in r['record']['non_results'] if s['name'] == '$2'] == ['$3']"
}

# ---- a model in use, and one before it ------------------------------------------------------------
plain first 4
check "a first model comes into use" promote first
plain second 6
check "a second model comes into use" promote second

# ---- the finished model again ----------------------------------------------------------------------
check "validate runs the finished model at all sites" run all.json --study second
check "every site gives figures" holds "$dir/all.json" \
    "r['record']['summary']['used'] == 3 and r['record']['non_results'] == [] and r['record']['summary']['auroc'] > 0.7"
check "the claim about a new hospital is there" holds "$dir/all.json" "r['record']['new_hospital']['auroc'] > 0.6"
check "a site can be asked alone" run one.json --model second --sites beta
check "the others are there as not asked" status_of one.json alpha not_asked
check "an unknown site is refused" refuses 2 "no site" by ada validate --study second --sites nowhere
check "an auditor may not ask" refuses 1 "auditor" by ruth validate --study second
check "a run is shown again" by ruth validate --study second --task "$(figure "$dir/one.json" "r['task']")"
check "runs are listed" sh -c "CONSILIUM_IDENTITY=$dir/ruth $consilium validate --list | grep -c task | grep -q 2"

# ---- the site's policy wins ---------------------------------------------------------------------------
mask() { # mask SITE LINE: a policy line, taken up by the running site
    pairs=$(grep -c "starting again once" "$dir/log/$1" || true)
    policy "$1" "$2"
    within 15 restarted "$1" "$pairs" && sleep 1
}
restarted() { [ "$(grep -c "starting again once" "$dir/log/$1" || true)" -gt "$2" ]; }
check "gamma's policy refuses validations" mask gamma "validation: refuse"
check "a run with a refusing site ends" run refusing.json --study second
check "the refusal is typed, with its reason" status_of refusing.json gamma refused_by_policy
check "the others' figures count" holds "$dir/refusing.json" "r['record']['summary']['used'] == 2"
check "gamma asks its steward" mask gamma "validation: ask"
check "a run with an asking site ends" run asking.json --study second
check "asking is typed" status_of asking.json gamma asking
must "$agent" approve "$dir/sites/gamma" second --validation
check "after approval the site answers" run approved.json --study second
check "all three are back" holds "$dir/approved.json" "r['record']['summary']['used'] == 3"
check "gamma's queries are used up" mask gamma "queries_per_epoch: 1"
check "a run with an exhausted site ends" run exhausted.json --study second
check "the exhausted budget is typed" status_of exhausted.json gamma budget_exhausted
check "gamma is open again" mask gamma "queries_per_epoch: 1000"

# ---- another file in place of alpha's -------------------------------------------------------------------
replace() { # replace SITE FILE: put in its place in one step, taken up by the running site
    pairs=$(grep -c "starting again once" "$dir/log/$1" || true)
    mv "$2" "$dir/sites/$1/data/records.csv"
    within 15 restarted "$1" "$pairs" && sleep 1
}
epoch_is() { # epoch_is FILE SITE NUMBER REUSED
    holds "$dir/$1" "[(s['epoch'], s['reused']) for s in r['record']['summary']['sites'] if s['name'] == '$2'] == [($3, $4)]"
}
check "alpha is judged on its first holdout" epoch_is approved.json alpha 1 True
cp "$dir/sites/alpha/data/records.csv" "$dir/data/before.csv"
patients "$dir/data/more.csv" 460 11 0.2
check "alpha's file is replaced" replace alpha "$dir/data/more.csv"
check "a run on more patients ends" run more.json --study second
check "they are a new epoch" epoch_is more.json alpha 2 False
check "alpha has its old file again" replace alpha "$dir/data/before.csv"
check "a run on the old patients ends" run less.json --study second
check "the old epoch is known again" epoch_is less.json alpha 1 True
power_cut beta
check "a run with a dead site ends at the deadline" run dead.json --study second
check "its silence is typed" status_of dead.json beta timeout
must start_site beta

# ---- watched: two looks find nothing, the third suspends ------------------------------------------------
check "a retired model is not watched" refuses 1 "not monitored" by ada monitor start first
check "monitoring starts" by ada monitor start second --looks 4 --owner omar
check "a second start is refused" refuses 1 "already" by ada monitor start second
look() { CONSILIUM_IDENTITY=$dir/ada timeout 360 "$consilium" monitor look second --wait >"$dir/look.txt" 2>&1 || { cat "$dir/look.txt"; return 1; }; }
check "the first look finds nothing" look
check "the second look finds nothing" look
shuffle() { # every outcome of SITE is the other one; in place, as a site writes its file
    awk -F, -v OFS=, 'NR == 1 { print; next } { $5 = $5 == "yes" ? "no" : "yes"; print }' \
        "$dir/sites/$1/data/records.csv" >"$dir/shuffled.csv"
    cat "$dir/shuffled.csv" >"$dir/sites/$1/data/records.csv"
}
must shuffle alpha
collapses() { ! look; }
check "the third look finds a collapse" collapses
check "it says why" grep -q "alpha.*suspend\|pooled.*suspend" "$dir/look.txt"
check "the model is suspended" sh -c "CONSILIUM_IDENTITY=$dir/ada $consilium model show second | grep -q suspended"
check "the sites are told" within 10 grep -q "is suspended: do not use it" "$dir/log/beta"
check "an incident is open, its clocks run" sh -c "CONSILIUM_IDENTITY=$dir/ruth $consilium incident list | grep -A2 serious | grep -q 'acknowledge *due'"
reported() {
    by ada report second --out "$dir/after" && grep -q "AUROC after the study" "$dir/after/report.html" &&
        grep -q "Monitoring" "$dir/after/report.html" &&
        holds "$dir/after/report.json" "len(r['monitors'][0]['looks']) == 3 and len(r['incidents']) == 1"
}
check "the report shows AUROC over time, findings and the incident" reported
check "status shows the incident" sh -c "CONSILIUM_IDENTITY=$dir/ada $consilium status second | grep -q 'incident .*serious'"
check "show tells every look" sh -c "CONSILIUM_IDENTITY=$dir/ada $consilium monitor show second | grep -c '  look ' | grep -q 3"
check "one command puts the earlier model back" sh -c "CONSILIUM_IDENTITY=$dir/omar $consilium model rollback second --reason 'site data' && CONSILIUM_IDENTITY=$dir/ada $consilium model show first | grep -q promoted"

check "the sites are told that too" within 10 grep -q "is in use again" "$dir/log/gamma"

# ---- a schedule survives the coordinator ------------------------------------------------------------------
must shuffle alpha # the right outcomes again
check "the model that is back is watched by schedule" by ada monitor start first --looks 4 --interval 2s
looked() { by ada monitor list --json >"$dir/list.json" && holds "$dir/list.json" "[m['looks_done'] for m in r['monitors'] if m['study'] == 'first'][0] >= $1"; }
check "a look comes by itself" within 60 looked 1
end_process KILL coordinator
start_coordinator
check "and goes on after the coordinator was killed" within 60 looked 2
check "monitoring stops" by omar monitor stop first

# ---- the audit ------------------------------------------------------------------------------------------
sleep 3
must by ruth audit export --out "$dir/audit"
verified() { by ruth audit verify "$dir/audit" >"$dir/verify.txt" && grep -q "[1-9][0-9]* validations.* [1-9][0-9]* looks" "$dir/verify.txt"; }
check "the audit computes validations and looks again" verified
tamper() { # tamper SED-SCRIPT
    rm -rf "$dir/forged"
    cp -r "$dir/audit" "$dir/forged"
    sed "$1" "$dir/audit/log.jsonl" >"$dir/forged/log.jsonl"
    ! cmp -s "$dir/audit/log.jsonl" "$dir/forged/log.jsonl"
}
check "a look's entry is forged" tamper 's/\(monitor-look.*\)\\"severity\\":\\"suspend/\1\\"severity\\":\\"fine/'
check "and the forgery is found" refuses 1 "log entry" by ruth audit verify "$dir/forged"
