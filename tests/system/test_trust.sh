#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Hostile sites among honest ones, and a site that is revoked while it takes part.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
seed=30
for site in rome oslo bonn kiel mole nana giga; do
    seed=$((seed + 1))
    add_site "$site" $seed 0
done
for site in rome oslo bonn kiel; do start_site "$site"; done
# mole turns its updates round and scales them, nana sends what is no number, giga sends far too much.
CONSILIUM_HOSTILE_FACTOR=-7 start_site mole --vault "$hostile_vault"
CONSILIUM_HOSTILE_FACTOR=nan start_site nana --vault "$hostile_vault"
CONSILIUM_HOSTILE_FACTOR=1e30 start_site giga --vault "$hostile_vault"
open='privacy.mode: none'

robust="rome, oslo, bonn, kiel, mole"
plan sturdy "$robust" 10 "$open" "privacy.epsilon: -" "privacy.delta: -" "privacy.clip_norm: -" \
    "aggregation.rule: nnm+trimmed-mean" "aggregation.byzantine: 1" "aggregation.quorum: 4"
plan naive "$robust" 10 "$open" "privacy.epsilon: -" "privacy.delta: -" "privacy.clip_norm: -" \
    "aggregation.rule: weighted-mean" "aggregation.quorum: 4" 'aggregation.max_share: 0.6\n  max_norm: 1000'
check "a study with a hostile site under a robust rule" by ada launch "$dir/sturdy.yaml"
check "it finishes" finish sturdy 40
check "its model is good all the same" holds "$dir/sturdy/report.json" "r['pooled']['auroc'] > 0.75"
check "the same under the plain mean" by ada launch "$dir/naive.yaml"
check "it finishes too" finish naive 40
check "its model is not" holds "$dir/naive/report.json" "r['pooled']['auroc'] < 0.6"

plan poison "rome, oslo, bonn, nana, giga" 6 "$open" "privacy.epsilon: -" "privacy.delta: -" "privacy.clip_norm: -" \
    "aggregation.byzantine: 1" "aggregation.quorum: 3"
check "a study with updates that are no numbers or far too large" by ada launch "$dir/poison.yaml"
check "finishes without them" finish poison 60
check "its model is good" holds "$dir/poison/report.json" "r['pooled']['auroc'] > 0.75"
check "no such update was ever counted" holds "$dir/poison/report.json" \
    "all(s['rounds_counted'] == 0 for s in r['sites'] if s['name'] in ('nana', 'giga'))"
check "and each is named with a reason in every round" holds "$dir/poison/report.json" \
    "all({x['site'] for x in t['refused'] if x['reason']} == {'nana', 'giga'} for t in r['rounds'])"

plan long "rome, oslo, bonn" 40 "training.steps: 30" "aggregation.deadline_s: 60"
check "a long study" by ada launch "$dir/long.yaml"
revoke() {
    within 20 past long 6 && freeze rome &&
        "$consilium" site revoke "$dir/consortium" bonn --reason "the laptop was stolen" && thaw rome
}
check "a site is revoked in the middle of it" revoke
check "it finishes without that site" finish long 60
check "the site counted only before" holds "$dir/long/report.json" \
    "[3 < s['rounds_counted'] < 39 for s in r['sites'] if s['name'] == 'bonn'] == [True]"
check "and is named as revoked" holds "$dir/long/report.json" \
    "[s['verdict'] for s in r['sites'] if s['name'] == 'bonn'] == ['revoked']"
check "the others counted to the end" holds "$dir/long/report.json" \
    "all(s['rounds_counted'] == 40 for s in r['sites'] if s['name'] != 'bonn')"
end_process TERM bonn
start_site bonn
bonn_is_shut_out() { grep -E 'disconnected: .*(certificate|admit)' "$dir/log/bonn"; }
check "the revoked site is told why it does not get in" within 20 bonn_is_shut_out
plan later "rome, bonn" 3 "aggregation.quorum: 1"
check "a new study with it is refused" refuses 1 'bonn' by ada launch "$dir/later.yaml"
