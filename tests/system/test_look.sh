#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The alpha policy "bac" in a running consortium: a study submits its candidate, new patients come to the
# sites, and a later look judges it on them alone. An honest candidate passes, one that was trained on
# wrong labels does not, and the audit computes both looks again.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
must enrol omar operator "$dir/omar"
must enrol ruth auditor "$dir/ruth"
cat >"$dir/consortium/gate.json" <<'END'
{"policy": {"auc_floor": 0.6, "slope_min": 0.2, "slope_max": 5, "ece_excess_max": 0.3, "drift_used": false},
 "stages": {"shadow_min_days": 0, "pilot_min_days": 0},
 "ledger": {"policy": "bac"}}
END
end_process TERM coordinator
start_coordinator
add_site alpha 11 0.2 300
add_site beta 12 0.0 280
add_site gamma 13 -0.2 260
for site in alpha beta gamma; do
    must start_site $site
done
study() { # study NAME ROUNDS: trained and judged
    plan "$1" "alpha, beta, gamma" "$2" "privacy.mode: none" "privacy.epsilon: -" "privacy.delta: -" \
        "privacy.clip_norm: -" "validation.every: 0" "validation.holdout: 0.5" "aggregation.quorum: 3" \
        "aggregation.deadline_s: 40"
    sed -i 's/^compression:.*/compression: none/; s/trimmed-mean/weighted-mean/' "$dir/$1.yaml"
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
put() { # put SITE: stdin becomes its data file, in place, as a site writes it
    cat >"$dir/new.csv"
    cat "$dir/new.csv" >"$dir/sites/$1/data/records.csv"
}
invert() { # every outcome of SITE is the other one
    awk -F, -v OFS=, 'NR == 1 { print; next } { $5 = $5 == "yes" ? "no" : "yes"; print }' \
        "$dir/sites/$1/data/records.csv" >"$dir/inverted.csv"
    put "$1" <"$dir/inverted.csv"
}
grow() { # grow SITE SEED SHIFT COUNT: its patients, and more who came
    patients "$dir/grown.csv" "$4" "$2" "$3"
    put "$1" <"$dir/grown.csv"
}
look() { # look STUDY DECISION CODE: waits; the decision and the exit code
    code=0
    CONSILIUM_IDENTITY=$dir/ada timeout 120 "$consilium" gate look "$1" --wait >"$dir/look.txt" 2>&1 || code=$?
    cat "$dir/look.txt"
    [ $code = "$3" ] && grep -q "^study $1,.*: $2" "$dir/look.txt"
}

# ---- one in use, one submitted, one that learnt wrong outcomes ----------------------------------------
study one 6
check "a first model comes into use" promote one
check "one in use is not looked at" refuses 1 "was not submitted" by ada gate look one
study two 8
check "the second is submitted and held" sh -c "CONSILIUM_IDENTITY=$dir/ada $consilium gate explain two | grep -q 'submitted as model 1'"
for site in alpha beta gamma; do must invert $site; done
study three 8
for site in alpha beta gamma; do must invert $site; done
submitted() { by ada gate ledger --json >"$dir/ledger.json" && [ "$(grep -o '"alpha": *10000' "$dir/ledger.json" | wc -l)" = 2 ]; }
check "both candidates have their alpha" submitted

# ---- nobody came yet -------------------------------------------------------------------------------------
check "an auditor may not look" refuses 1 "auditor" by ruth gate look two
check "without newer patients the gate holds" look two HOLD 1
check "each site says why, in one word" sh -c "[ \$(grep -c no_newer_patients '$dir/look.txt') -ge 3 ]"
check "and no look was used up" sh -c "CONSILIUM_IDENTITY=$dir/ada $consilium gate ledger --json | grep -q '\"looks\": *\\[\\]'"

# ---- new labelled patients at every site -------------------------------------------------------------------
must grow alpha 11 0.2 1500
must grow beta 12 0.0 1400
must grow gamma 13 -0.2 1300
check "a look at the newer patients promotes the honest candidate" look two PROMOTE 0
check "its rule tells the look" grep -q "look 1 of 4 on patients after its submission, against 1 models" "$dir/look.txt"
check "people put it into use" promote two
check "a look finds the other one worse" look three REJECT 1
check "it had to stand up to both models that were in use" grep -q "look 1 of 4 on patients after its submission, against 2 models" "$dir/look.txt"
rejected() { ! by ada model promote three; }
check "nobody can promote it" rejected
check "what is in use is not looked at again" refuses 1 "has been in use" by ada gate look two

# ---- what the sites noted, and the audit ----------------------------------------------------------------
noted() { "$agent" show "$dir/sites/alpha" three --json >"$dir/show.json" && holds "$dir/show.json" "len(r['holdout_epochs']) == 2"; }
check "the site has two epochs" noted
newer() { grep -rh '"evaluation"' "$dir/sites/alpha/vault" | grep -q '"epoch": *{"number": *2, *"first": *2'; }
check "its record tells that newer patients alone were judged" newer
must by ruth audit export --out "$dir/audit"
verified() { by ruth audit verify "$dir/audit" >"$dir/verify.txt" && grep -q "6 gate decisions" "$dir/verify.txt"; }
check "the audit computes every look again" verified
forge() { # forge SED-SCRIPT
    rm -rf "$dir/forged"
    cp -r "$dir/audit" "$dir/forged"
    sed "$1" "$dir/audit/log.jsonl" >"$dir/forged/log.jsonl"
    ! cmp -s "$dir/audit/log.jsonl" "$dir/forged/log.jsonl"
}
check "a look's epochs are forged" forge 's/epochs_after\\":{\\"alpha\\":1/epochs_after\\":{\\"alpha\\":2/'
check "and the forgery is found" refuses 1 "log entry" by ruth audit verify "$dir/forged"
