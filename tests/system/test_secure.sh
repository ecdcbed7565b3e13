#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Secure aggregation with real processes: vaults, sites and the coordinator are killed between the stages of a round,
# the study finishes, and its sums are those of a simulated run, bit for bit.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
for site in rome oslo bonn bern; do must add_site $site "1${#site}$(printf %d "'$site")" 0.2; done
for site in rome oslo bonn bern; do start_site "$site"; done

open="privacy.mode: none"
secure_plan() {
    secure_name=$1 secure_rounds=$2
    shift 2
    plan "$secure_name" "rome, oslo, bonn, bern" "$secure_rounds" "aggregation.rule: weighted-mean" "$@"
    sed -i 's/^compression: .*/compression: none/; s/^  quorum: 2/  quorum: 3\n  secure: true\n  secure_threshold: 3/' \
        "$dir/$secure_name.yaml"
}
without_privacy() { sed -i '/^  epsilon:/d; /^  delta:/d; /^  clip_norm:/d' "$dir/$1.yaml"; }

# The same model as in one process, where everybody takes part.
secure_plan calm 3 "$open" "aggregation.deadline_s: 60"
without_privacy calm
check "a secure study is launched" by ada launch "$dir/calm.yaml"
check "it finishes" finish calm 90
mkdir -p "$dir/twin"
must sh -c "timeout 180 '$consilium' simulate --plan '$dir/calm.yaml' --data '$dir/sites' --json >'$dir/twin/report.json'"
same_model() { [ "$(figure "$dir/calm/report.json" "r['model_hash']")" = "$(figure "$dir/twin/report.json" "r['model_hash']")" ]; }
check "simulated and real secure sums give the same model, bit for bit" same_model
shown() { "$agent" show "$dir/sites/rome" | grep -q "oslo has key"; }
check "a site's record shows the keys of the others" shown

# Whatever is killed costs a round at most. One site or another stands still all the time, so that what happens,
# happens in a known stage and the study does not run away.
secure_plan rough 20 "$open" "training.steps: 20" "aggregation.deadline_s: 30"
without_privacy rough
told() { grep -q "study rough task $1" "$dir/log/coordinator"; }
must freeze rome
check "a second one is launched" by ada launch "$dir/rough.yaml"
# Oslo stands still in the first stage until rome has answered, then rome in the second.
before_the_second_stage_ends() {
    for site in oslo bonn bern; do within 60 told "0: allowed $site" || return 1; done
    freeze oslo && thaw rome && within 60 told "1: counted rome" && freeze rome && thaw oslo && within 60 told "1: counted oslo"
}
check "its first stage ends" before_the_second_stage_ends
check "a vault is killed between two stages" kill_part oslo vault
kill_coordinator() { end_process KILL coordinator && start_coordinator; }
check "the coordinator is killed" kill_coordinator
check "and again" kill_coordinator
must thaw rome
check "the vault that forgot its keys drops out of its round" within 60 told "[0-9]*: declined oslo: .*keys for round"
counted_oslo() { [ "$(grep -c "study rough task [0-9]*: counted oslo" "$dir/log/coordinator")" -ge 3 ]; }
check "the vault takes part in the next round" within 60 counted_oslo
silent_site() { freeze bern && power_cut bonn && thaw bern && within 60 told "[0-9]*: missed bonn"; }
check "a site falls silent in a round" silent_site
check "the study finishes" finish rough 150
watched() {
    by ada watch rough >"$dir/watch.txt" && grep -qE "$1" "$dir/watch.txt" || {
        cat "$dir/watch.txt"
        return 1
    }
}
check "whoever watches reads the records' words for absence" watched 'bonn timeout'
check "and those of a site that declined" watched 'oslo failed: .*keys for round'
check "with all its rounds" holds "$dir/rough/report.json" "r['rounds_completed'] == 20"
check "rounds closed without the silent site" holds "$dir/rough/report.json" \
    "any(len(x['counted']) == 3 for x in r['rounds'] if x['completed'])"
check "and the model learnt" holds "$dir/rough/report.json" "r['pooled']['auroc'] > 0.7"

# A reveal that too few answer is asked again. All three sites are needed; rome and oslo stand still in turn, so that
# each turn ends one stage, until rome and bonn have revealed and oslo has not.
start_site bonn
plan stuck "rome, oslo, bonn" 2 "aggregation.rule: weighted-mean" "$open" "training.steps: 5" "aggregation.deadline_s: 60"
sed -i 's/^compression: .*/compression: none/; s/^  quorum: 2/  quorum: 3\n  secure: true\n  secure_threshold: 3/' "$dir/stuck.yaml"
without_privacy stuck
stuck() { grep -q "study stuck task $1" "$dir/log/coordinator"; }
turn() { within 60 stuck "$1: counted $2" && freeze "$2" && thaw "$3"; }
must freeze rome
check "a third one is launched" by ada launch "$dir/stuck.yaml"
reveals_but_one() {
    within 60 stuck "0: allowed oslo" && freeze oslo && thaw rome && turn 1 rome oslo && turn 2 oslo rome &&
        turn 3 rome oslo && turn 4 oslo rome && within 60 stuck "5: counted rome" && within 60 stuck "5: counted bonn"
}
check "two of three sites reveal" reveals_but_one
only_masked_is_kept() {
    [ "$(stat -c %a "$dir/sites/oslo/vault/secure")" = 600 ] && ! erased oslo && erased rome && erased bonn
}
erased() { ! tr -d '\000' <"$dir/sites/$1/vault/secure" | grep -q .; }
check "who has revealed keeps nothing, who has not keeps its part sealed" only_masked_is_kept
everything_falls() { power_cut oslo && power_cut bonn && kill_part rome vault && kill_coordinator; }
check "then power cuts, a killed vault, a killed coordinator" everything_falls
must mv "$dir/sites/oslo/vault/secure" "$dir/oslo.secure"
start_site oslo
check "a site without what it kept has no part in the sum" within 60 stuck "5: declined oslo: .*keys for round"
check "the study pauses" within 60 phase stuck paused
must end_process TERM oslo
must cp "$dir/oslo.secure" "$dir/sites/oslo/vault/secure"
start_site oslo
start_site bonn
check "once it is back the study is resumed" by ada resume stuck
check "the same sum is asked for again" within 60 stuck "6: counted rome"
check "the study finishes" finish stuck 150
check "with all its rounds, of all three sites" holds "$dir/stuck/report.json" \
    "r['rounds_completed'] == 2 and all(len(x['counted']) == 3 for x in r['rounds'] if x['completed'])"
nothing_is_kept() { erased rome && erased oslo && erased bonn; }
check "then nothing is kept" within 30 nothing_is_kept

# With privacy: a site that wants all of its noise at home refuses, the others pay what the sum costs.
secure_plan paid 4 "training.steps: 1" "training.learning_rate: 2"
sed -i 's/^  clip_norm: .*/  clip_norm: 1.0\n  noise_multiplier: 6/' "$dir/paid.yaml"
for site in rome oslo bonn; do policy $site "noise_shares: true"; end_process TERM $site; start_site $site; done
check "a private one is launched" by ada launch "$dir/paid.yaml"
check "it finishes" finish paid 90
check "a site that wants all noise at home takes no part" grep -q "study paid task [0-9]*: study-refused bern: .*noise_shares" "$dir/log/coordinator"
check "the others paid" holds "$dir/paid/report.json" \
    "sum(0 < s['epsilon_spent'] <= s['epsilon_budget'] for s in r['sites']) == 3"

check "a robust rule does not go with it" refuses 2 "hides" "$consilium" plan check "$(
    sed 's/rule: weighted-mean/rule: trimmed-mean/' "$dir/paid.yaml" >"$dir/wrong.yaml"; echo "$dir/wrong.yaml")"
check "plan check says what is not claimed" sh -c "'$consilium' plan check '$dir/paid.yaml' | grep -q 'robustness is not claimed'"

check "the operator takes the log home" by consortium/operator audit export --out "$dir/audit"
check "every secure round computes again to the same bits" by consortium/operator audit verify "$dir/audit"
