#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every process is killed in the middle of a study, and the broker goes away: the study finishes, with every
# round counted once and every budget kept.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
add_site rome 11 0.3
add_site oslo 12 -0.3
add_site bonn 13 0
for site in rome oslo bonn; do start_site "$site"; done
plan storm "rome, oslo, bonn" 50 "training.steps: 30"
check "a study is launched" by ada launch "$dir/storm.yaml"

kill_coordinator() {
    within 20 past storm "$1" && end_process KILL coordinator && start_coordinator
}
check "the coordinator is killed in the first rounds" kill_coordinator 1
check "and again" kill_coordinator 8
check "and once more, at once" kill_coordinator 9

kill_vault() { within 20 past storm 14 && kill_part oslo vault; }
check "a vault is killed and starts again by itself" kill_vault
kill_network() { within 20 past storm 20 && kill_part bonn network; }
check "an agent's network process is killed and starts again by itself" kill_network
kill_site() {
    within 20 past storm 26 && power_cut rome && sleep 0.5 && start_site rome
}
check "a whole site is cut off and started again" kill_site

stop_broker() {
    within 20 past storm 34 && end_process TERM broker && sleep 3 && start_broker
}
check "the broker is away for three seconds" stop_broker

check "the study finishes" finish storm 60
check "no round is lost" holds "$dir/storm/report.json" \
    "r['rounds_completed'] == 50 and r['rounds_planned'] == 50"
check "no round is counted twice" holds "$dir/storm/report.json" \
    "sorted(x['round'] for x in r['rounds'] if x['completed']) == list(range(1, 51))"
check "no site is counted twice in a round" holds "$dir/storm/report.json" \
    "all(len(set(x['counted'])) == len(x['counted']) >= 2 for x in r['rounds'] if x['completed'])"
check "every site came back and took part" holds "$dir/storm/report.json" \
    "all(s['rounds_counted'] >= 20 for s in r['sites'])"
check "no budget is overspent" holds "$dir/storm/report.json" \
    "all(0 < s['epsilon_spent'] <= s['epsilon_budget'] <= 2.0001 for s in r['sites'])"
check "the audit chain holds" holds "$dir/storm/report.json" "r['audit_verified'] is True"
check "the model learnt" holds "$dir/storm/report.json" "r['pooled']['auroc'] > 0.7"
"$agent" budget "$dir/sites/rome" --json >"$dir/budget.json"
check "the ledger charged the study once, within its price" holds "$dir/budget.json" \
    "len(r['studies']) == 1 and r['studies'][0]['epsilon'] <= 2.0001 and r['studies'][0]['trained'] <= 60"
check "the operator takes the log home" by consortium/operator audit export --out "$dir/audit"
check "every round computes again to the same bits" by consortium/operator audit verify "$dir/audit"
