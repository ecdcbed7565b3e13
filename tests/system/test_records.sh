#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Budgets that two studies at once cannot overspend, and a log that cannot be changed unseen.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
must enrol uma auditor "$dir/uma"
add_site rome 41 0.2
add_site oslo 42 -0.2
policy rome "epsilon_per_year: 2.9" "epsilon_total: 2.9"
start_site rome
start_site oslo

# ---- the last budget ------------------------------------------------------------------------------
plan left "rome, oslo" 6 "training.steps: 30"
plan right "rome, oslo" 6 "training.steps: 30"
launch_both() {
    by ada launch "$dir/left.yaml" &
    first=$!
    by ada launch "$dir/right.yaml"
    wait $first
}
check "two studies ask for the last budget of a site at once" launch_both
ended() { phase left finished paused && phase right finished paused; }
check "both come to an end" within 40 ended
by ada status --json >"$dir/both.json"
check "exactly one runs" holds "$dir/both.json" \
    "sorted(s['phase'] for s in r['studies']) == ['finished', 'paused']"
check "the other is told that the budget does not suffice" holds "$dir/both.json" \
    "[m['reason'] for s in r['studies'] if s['phase'] == 'paused' for m in s['sites'] if m['name'] == 'rome' and m['verdict'] == 'refused' and 'budget' in m['reason']] != []"
"$agent" budget "$dir/sites/rome" --json >"$dir/budget.json"
check "the ledger is within its budget" holds "$dir/budget.json" \
    "r['share_used'] <= 1 and sum(s['epsilon'] for s in r['studies'] if s['standing'] in ('allowed', 'finished')) <= 2.9"
# ---- the privacy statement ---------------------------------------------------------------------------
won=$(python3 -c "import json; print([s['study'] for s in json.load(open('$dir/both.json'))['studies'] if s['phase'] == 'finished'][0])")
by ada status "$won" >"$dir/status.txt"
check "status draws what each site spent and has left" grep -q 'rome .*epsilon \[#.*spent.*left of' "$dir/status.txt"
check "the model comes with its privacy statement" by ada model export "$won" --out "$dir/model" --json
check "which holds the study's promise" holds "$dir/model.privacy.json" \
    "r['study'] == '$won' and 0 < r['epsilon_lower'] <= r['epsilon_upper'] <= 2.001 and r['steps'] == 180 and r['not_covered'] and len(r['events_hash']) == 64"
by ada report "$won" --out "$dir/won" --json >/dev/null
check "the report tells spending over time" holds "$dir/won/report.json" \
    "all(len(s['spent']) == 6 and s['spent'][-1][1] == s['epsilon_spent'] for s in r['sites'])"
check "and draws it" grep -q "Privacy budget over time" "$dir/won/report.html"

end_process KILL rome
start_site rome
plan again "rome, oslo" 6
check "a third study after a crash of the site" by ada launch "$dir/again.yaml"
check "is refused as well" within 30 phase again paused

# ---- the audit log --------------------------------------------------------------------------------
check "an auditor takes the log home" by uma audit export --out "$dir/audit"
check "it verifies" by uma audit verify "$dir/audit"
# tampered TEXT COMMAND...: a copy changed by the command is refused, and the reason says TEXT.
tampered() {
    tampered_text=$1
    shift
    rm -rf "$dir/changed"
    cp -r "$dir/audit" "$dir/changed"
    (cd "$dir/changed" && "$@")
    refuses 1 "$tampered_text" by uma audit verify "$dir/changed"
}
# rewrite NUMBER FROM TO: in one line of the log.
rewrite() {
    python3 - "$@" <<'END'
import sys
number, old, new = int(sys.argv[1]), sys.argv[2], sys.argv[3]
lines = open("log.jsonl").read().splitlines(True)
assert old in lines[number - 1], lines[number - 1]
lines[number - 1] = lines[number - 1].replace(old, new, 1)
open("log.jsonl", "w").writelines(lines)
END
}
line_of() { grep -n "\"kind\":\"$1\"" "$dir/audit/log.jsonl" | sed -n "$2s/:.*//p"; }
counted=$(line_of counted 5)
flip() { python3 -c 'import sys; p = sys.argv[1]; b = bytearray(open(p, "rb").read()); b[-9] ^= 1; open(p, "wb").write(b)' "$1"; }
object=$(cd "$dir/audit" && ls studies/*/objects/* | sed -n 4p)
check "an entry that was changed is named" tampered "entry $counted[^0-9]" rewrite "$counted" task_kind task_king
check "an entry that was taken out is missed" tampered "entry $counted[^0-9]" sed -i "${counted}d" log.jsonl
check "a log that was cut short is told from a whole one" tampered "entr" sed -i '$d' log.jsonl
check "an update that was changed is named" tampered "${object##*-}" flip "$object"
check "a plan that was changed is told" tampered "plan" \
    sh -c 'for f in studies/*/plan.yaml; do sed -i "s/epsilon: 2.0/epsilon: 1.0/" "$f"; done'
check "an object that is missing is told" refuses 2 "${object##*-}" sh -c "
    rm -rf '$dir/changed' && cp -r '$dir/audit' '$dir/changed' && rm '$dir/changed/$object' &&
    '$consilium' audit verify '$dir/changed' --as '$dir/uma'"
check "another consortium's auditor takes none of it" refuses 2 "" \
    env CONSILIUM_IDENTITY="$dir/nobody" "$consilium" audit verify "$dir/audit"
check "a researcher may not take the log" refuses 1 "auditor|operator" by ada audit export --out "$dir/stolen"
check "an auditor may not launch" refuses 1 "auditor" by uma launch "$dir/again.yaml"

# ---- damaged files --------------------------------------------------------------------------------
end_process TERM rome
end_process TERM coordinator
# runs COMMAND...: what should end at once by itself, without the leak check that the vault's sandbox forbids.
runs() { ASAN_OPTIONS=detect_leaks=0 timeout 60 "$@"; }
ledger=$dir/sites/rome/vault/ledger
cp "$ledger" "$dir/ledger"
python3 -c 'import sys; p = sys.argv[1]; b = bytearray(open(p, "rb").read()); b[len(b) // 2] ^= 1; open(p, "wb").write(b)' "$ledger"
check "a vault does not start on a ledger that was changed" refuses 1 "ledger: .* altered" runs "$agent" run "$dir/sites/rome"
check "nor is its budget shown" refuses 1 "ledger: .* altered" "$agent" budget "$dir/sites/rome"
cp "$dir/ledger" "$ledger"
echo "epsilon_per_studdy: 3" >>"$dir/sites/rome/policy.yaml"
check "nor on a policy with a typo" refuses 2 "policy.yaml line .*did you mean 'epsilon_per_study'" \
    runs "$agent" run "$dir/sites/rome"
cp "$dir/consortium/roster" "$dir/roster"
sed 's/rome/oslo/' "$dir/roster" >"$dir/consortium/roster"
check "a coordinator does not start on a roster that was changed" refuses 1 "roster: the signature is wrong" \
    runs "$coordinator" --dir "$dir/consortium"
cp "$dir/roster" "$dir/consortium/roster"
rm -f "$dir"/consortium/coordinator.db-*
head -c 20000 /dev/urandom >"$dir/consortium/coordinator.db"
check "nor on a store that is none" refuses 3 "coordinator.db" runs "$coordinator" --dir "$dir/consortium"
