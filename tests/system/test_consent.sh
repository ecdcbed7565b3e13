#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sites decide, and say why; whatever is wrong with a plan, a folder or a command is told in one clear sentence.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
add_site rome 21 0.2
add_site oslo 22 -0.2
add_site bonn 23 0
add_site kiel 24 0
policy oslo "decision: ask"
policy bonn "epsilon_per_study: 0.5" "privacy_required: true"
cut -d, -f1-3,5 "$dir/sites/kiel/data/records.csv" >"$dir/cut.csv" && mv "$dir/cut.csv" "$dir/sites/kiel/data/records.csv"
for site in rome oslo bonn kiel; do start_site "$site"; done

# follow STUDY: watches in the background, as a researcher would.
follow() {
    launch_process "watch-$1" env CONSILIUM_IDENTITY="$dir/ada" timeout 180 "$consilium" watch "$1"
}
# followed STUDY CODE: the watch has ended with that code by itself.
followed() {
    watched=0
    wait "$(pid_of "watch-$1")" || watched=$?
    rm -f "$dir/pid/watch-$1"
    cat "$dir/log/watch-$1"
    [ "$watched" = "$2" ]
}
told() { grep -E "$2" "$dir/log/watch-$1"; }

# ---- a site that asks -----------------------------------------------------------------------------
plan council "rome, oslo" 4
check "a study is launched at a site that asks" by ada launch "$dir/council.yaml"
follow council
check "the researcher sees that the site asks" within 15 told council 'oslo asking: .*steward'
check "nothing starts before the site has decided" phase council gathering
check "the site is shown what would leave" "$agent" show "$dir/sites/oslo" council
check "the site approves" "$agent" approve "$dir/sites/oslo" council
check "the study runs to its end" followed council 0
check "it has trained with both sites" finish council 20

plan veto "rome, oslo" 4
check "a second study is launched" by ada launch "$dir/veto.yaml"
follow veto
check "the site asks again" within 15 told veto 'oslo asking'
check "the site refuses" "$agent" refuse "$dir/sites/oslo" veto
check "the watch ends with a failure" followed veto 1
check "the refusal reaches the researcher" told veto 'oslo study-refused: .*steward refused'
check "the study pauses for want of a quorum, and says so" told veto '1 of 2 sites allow .* quorum is 2'
check "the steward changes their mind" "$agent" approve "$dir/sites/oslo" veto
check "the study is resumed" by ada resume veto
check "and runs to its end" finish veto 30

# ---- a site's policy ------------------------------------------------------------------------------
plan modest "rome, bonn, kiel" 4 "aggregation.quorum: 1"
check "a study goes beyond one site's policy and misses a column at another" by ada launch "$dir/modest.yaml"
follow modest
check "it runs with the site that is left" followed modest 0
check "the policy's bound reaches the researcher" told modest 'bonn study-refused: .*epsilon'
check "that the data do not fit reaches the researcher" told modest 'kiel study-refused: .*data do not fit the plan'
check "and where they do not, the site alone" grep 'records.csv, line 1: there is no column "marker"' "$dir/log/kiel"
plan naked "rome, bonn" 4 "privacy.mode: none" "privacy.epsilon: -" "privacy.delta: -" "privacy.clip_norm: -"
check "a study without privacy is launched" by ada launch "$dir/naked.yaml"
follow naked
check "it does not reach its quorum" followed naked 1
check "the site that requires privacy says so" told naked 'bonn study-refused: .*privacy'
policy bonn
end_process TERM bonn
start_site bonn
check "after the site has changed its policy the study is resumed" by ada resume naked
check "and runs to its end with it" finish naked 30

# ---- bad input ------------------------------------------------------------------------------------
sed 's/^  learning_rate:/  learning_rat:/' "$dir/council.yaml" >"$dir/typo.yaml"
check "a typo in a plan: file, line and what was meant" refuses 2 'typo.yaml line 15.*learning_rat.*learning_rate' \
    "$consilium" plan check "$dir/typo.yaml"
check "and the same at the launch" refuses 2 'typo.yaml line 15' by ada launch "$dir/typo.yaml"
# prints TEXT COMMAND...: it succeeds and says so; silent TEXT COMMAND...: it succeeds and does not.
prints() {
    prints_text=$1 && shift
    "$@" >"$dir/prints.out" 2>&1 && grep -F "$prints_text" "$dir/prints.out"
}
silent() {
    silent_text=$1 && shift
    "$@" >"$dir/prints.out" 2>&1 && ! grep -F "$silent_text" "$dir/prints.out"
}
plan heavy "rome, oslo, kiel" 4 "aggregation.byzantine: 1"
check "hostile sites that may hold most of the weight: a warning with the number" prints "hold 60 % of the weight" \
    "$consilium" plan check "$dir/heavy.yaml" --patients 5000
plan even "rome, oslo, kiel" 4 "aggregation.byzantine: 1" "aggregation.max_share: 0.34"
check "and none where they may not" silent "of the weight" "$consilium" plan check "$dir/even.yaml" --patients 5000
plan stranger "rome, atlantis" 4
check "a plan with a site that nobody knows" refuses 1 "atlantis" by ada launch "$dir/stranger.yaml"
plan council "rome, oslo" 5
check "another plan under a name that is taken" refuses 1 "council" by ada launch "$dir/council.yaml"
check "watching a study that is not there" refuses 2 "no study 'nowhere'" by ada watch nowhere
check "the status of a study that is not there" refuses 2 "no study 'nowhere'" by ada status nowhere
check "the report of a study that is not there" refuses 2 "nowhere" by ada report nowhere --out "$dir/nowhere"
check "stopping a study that is not there" refuses 2 "nowhere" by ada stop nowhere
check "a plan file that is not there" refuses 2 "none.yaml" by ada launch "$dir/none.yaml"
check "a folder that is nobody's" refuses 2 "nobody" env CONSILIUM_IDENTITY="$dir/nobody" "$consilium" status

cp "$dir/council.yaml" "$dir/check.yaml"
check "check-data names the missing column" refuses 2 "marker" "$agent" check-data "$dir/sites/kiel" --plan "$dir/check.yaml"
patients "$dir/sites/kiel/data/records.csv" 200 24 0
check "check-data passes good data" "$agent" check-data "$dir/sites/kiel" --plan "$dir/check.yaml"
cp "$dir/sites/kiel/mapping.yaml" "$dir/mapping.yaml"
printf 'columns:\n  - {plan: markr, column: marker, factor: 2}\n' >>"$dir/sites/kiel/mapping.yaml"
noted() { "$agent" check-data "$dir/sites/kiel" --plan "$dir/check.yaml" | grep -q "'markr' is not in this plan; did you mean 'marker'"; }
check "check-data notes a line of the mapping that says nothing about the plan" noted
cp "$dir/mapping.yaml" "$dir/sites/kiel/mapping.yaml"
sed 's/,\(yes\|no\)$/,perhaps/' "$dir/sites/kiel/data/records.csv" >"$dir/wrong.csv"
cp "$dir/wrong.csv" "$dir/sites/kiel/data/records.csv"
check "check-data names the column of wrong values" refuses 2 "outcome" "$agent" check-data "$dir/sites/kiel" --plan "$dir/check.yaml"
: >"$dir/sites/kiel/data/records.csv"
check "check-data tells of an empty file" refuses 2 "records.csv" "$agent" check-data "$dir/sites/kiel" --plan "$dir/check.yaml"
head -c 4000 /dev/urandom >"$dir/sites/kiel/data/records.csv"
check "check-data survives any bytes" refuses 2 "records.csv" "$agent" check-data "$dir/sites/kiel" --plan "$dir/check.yaml"
rm "$dir/sites/kiel/data/records.csv"
check "check-data tells of a file that is not there" refuses 2 "records.csv" "$agent" check-data "$dir/sites/kiel" --plan "$dir/check.yaml"
end_process TERM kiel
printf 'version: 1\ndata: [\n' >"$dir/sites/kiel/mapping.yaml"
check "a site with a mapping that is no YAML does not start, and says why" refuses 2 "mapping.yaml" \
    timeout 60 env ASAN_OPTIONS=detect_leaks=0 "$agent" run "$dir/sites/kiel"
check "approving a study that is not there" refuses 2 "nowhere" "$agent" approve "$dir/sites/rome" nowhere
check "a second coordinator on the same folder" refuses 1 "already runs" timeout 60 "$coordinator" --dir "$dir/consortium"
