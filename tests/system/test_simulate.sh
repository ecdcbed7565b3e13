#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The simulator against the real thing: a study without privacy noise, run by a broker and separate processes and again
# in one process on the same sites' folders, gives the same model and the same figures.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
add_site north 11 0.3 160
add_site south 12 -0.4 240
add_site east 13 0.1 120
add_site west 14 0.8 200
for site in north south east west; do
    start_site "$site"
done

plan same "north, south, east, west" 6 "privacy.mode: none" "privacy.epsilon: -" "privacy.delta: -" \
    "privacy.clip_norm: -" "aggregation.rule: nnm+trimmed-mean" "aggregation.byzantine: 1" \
    "aggregation.deadline_s: 60" "validation.every: 3"
sed -i 's/^model: .*/model: {kind: logistic, site_intercept: true}/; s/^  steps: .*/  steps: 5\n  batch: 32\n  momentum: 0.5\n  average_from: 0.5/' \
    "$dir/same.yaml"
must by ada launch "$dir/same.yaml"
must finish same 90

simulate() { timeout 180 "$consilium" simulate "$@"; }
simulate_into() {
    mkdir -p "$dir/$1" && simulate --plan "$2" --data "$dir/sites" --json >"$dir/$1/report.json"
}
must simulate_into twin "$dir/same.yaml"
model() { figure "$dir/$1/report.json" "r['model_hash']"; }
same_model() { [ "$(model same)" = "$(model twin)" ]; }
same_figures() {
    for what in "r['pooled']" "[s['auroc'] for s in r['sites']]" "[s['rounds_counted'] for s in r['sites']]"; do
        [ "$(figure "$dir/same/report.json" "$what")" = "$(figure "$dir/twin/report.json" "$what")" ] || return 1
    done
}
check "simulated and real model are the same, bit for bit" same_model
check "simulated and real figures are the same" same_figures
check "the simulated log verifies" holds "$dir/twin/report.json" "r['audit_verified']"
check "the report tells what a model weighs on the wire" holds "$dir/twin/report.json" \
    "0 < r['bytes_per_model'] <= r['bytes_per_model_unpacked'] and r['bytes_per_update'] > 0"

# Files in the plan's form beside each other, no folders of sites.
for site in north south east west; do
    cp "$dir/sites/$site/data/records.csv" "$dir/data/$site.csv"
done
must simulate --plan "$dir/same.yaml" --data "$dir/data" --rounds 2 --out "$dir/plain"
check "plain files will do, and --rounds counts" holds "$dir/plain/report.json" "r['rounds_completed'] == 2"
check "the model leaves as .npz and JSON" test -s "$dir/plain/model.npz" -a -s "$dir/plain/model.json"
# The vault encodes a rare level with the spread of a share of 0.05 (test_dataset).
sed 's/{name: sex, type: flag}/{name: sex, type: flag, shares: [0.98, 0.02]}/' "$dir/same.yaml" >"$dir/rare.yaml"
must simulate --plan "$dir/rare.yaml" --data "$dir/data" --rounds 2 --out "$dir/rare"
check "the exported model scales a rare level as the sites do" holds "$dir/rare/model.json" \
    "[(i['centre'], round(i['spread'], 9)) for i in r['inputs'] if i['feature'] == 'sex'] == [(0.02, 0.217944947)]"

# With privacy noise: finished, paid for, and another model each time.
plan noisy "north, south, east, west" 3
must simulate_into noisy "$dir/noisy.yaml"
check "epsilon is paid in a simulation, too" holds "$dir/noisy/report.json" \
    "all(0 < s['epsilon_spent'] <= 2 for s in r['sites'])"

# Every attack of the gallery ends in a finished study; what is no update is refused by name.
attack() {
    mkdir -p "$dir/attack-$1"
    simulate --plan "$dir/same.yaml" --data "$dir/sites" --rounds 3 --attack "$1" --hostile east --json \
        >"$dir/attack-$1/report.json"
}
gallery() { simulate --attack list | while read -r name _; do attack "$name" || exit 1; done; }
check "every attack of the gallery leaves a finished study under the default rule" gallery
# The codec takes no such numbers, so the site itself gives up; 1e30 passes it and meets the norm gate, once there
# was a round to measure by.
kept_out() { holds "$dir/attack-$1/report.json" "[s['rounds_counted'] for s in r['sites'] if s['name'] == 'east'][0] <= $2"; }
check "updates that are no number never count" kept_out nan 0
check "infinite updates never count" kept_out infinite 0
check "huge updates do not count after the first round" kept_out huge 1
check "a lie about patients is seen in the report" holds "$dir/attack-inflated-weight/report.json" \
    "[s['patients'] for s in r['sites'] if s['name'] == 'east'][0] == 120000"

check "an attack that is not there" refuses 2 "there is no attack" simulate --plan "$dir/same.yaml" \
    --data "$dir/sites" --attack nonsense
check "a hostile site that is not there" refuses 2 "is not a site of the plan" simulate --plan "$dir/same.yaml" \
    --data "$dir/sites" --attack ipm --hostile nowhere
check "data that are not there" refuses 2 "north.csv" simulate --plan "$dir/same.yaml" --data "$dir/log"
check "rounds that are no number" refuses 2 "from 1 to" simulate --plan "$dir/same.yaml" --data "$dir/sites" --rounds 0
check "no plan" refuses 2 "there-is-none" simulate --plan "$dir/there-is-none" --data "$dir/sites"
