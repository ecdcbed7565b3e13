#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The privacy commands as they are written in the manual, and what running sites do about time, budgets and ledgers.
set -eu
. "$(dirname "$0")/federation.sh"
vectors=$(dirname "$0")/../vectors/privacy
json() { "$@" --json >"$dir/out.json"; }
exits() {
    exits_code=$1 exits_got=0
    shift
    "$@" || exits_got=$?
    [ "$exits_got" = "$exits_code" ]
}
says() {
    says_code=$1
    shift
    json timeout 300 "$consilium" privacy "$@" && holds "$dir/out.json" "$says_code"
}

# ---- the commands ----------------------------------------------------------------------------------
check "epsilon of subsampled steps" says "2.7663 < r['epsilon_lower'] <= r['epsilon_upper'] < 2.7739 and r['epsilon_upper'] <= r['epsilon_rdp'] and r['grid'] > 0" \
    epsilon --events g:0.02:1:500 --delta 1e-5
check "the same under replacement costs more" says "1.76 < r['epsilon_upper'] < 1.775" \
    epsilon --events g:0.02:2:500 --delta 1e-5 --adjacency replace
check "a truncated batch is not free" says "3.40 < r['epsilon_upper'] < 3.43" \
    epsilon --events trunc:10000:0.02:250:1:500 --delta 1e-5
check "kinds of events mix" says "0 < r['epsilon_lower'] <= r['epsilon_upper'] < 4" \
    epsilon --events 'g:0.02:1:500|g:1:10:5|lap:20:3|ed:0.1:1e-8:2' --delta 1e-5
check "delta is the way back" says "0 < r['delta_lower'] <= r['delta_upper'] and 0.99e-5 < r['delta_upper'] < 1.01e-5" \
    delta --events g:0.02:1:500 --epsilon 2.7734
check "calibration" says "0.9999 < r['noise_multiplier'] < 1.0001" \
    calibrate --events 'g:0.02:?:500' --epsilon 2.77345 --delta 1e-5
check "the bound of an audit" says "0.9 < r['epsilon_lower_bound'] < 1" \
    bound --canaries 1000 --guesses 100 --right 80 --delta 1e-5 --beta 0.05
check "a table within its ranges" "$consilium" privacy check "$vectors/audit.csv"
python3 - "$vectors/audit.csv" "$dir/wrong.csv" <<'END'
import csv, sys
rows = list(csv.reader(open(sys.argv[1])))
head = next(i for i, r in enumerate(rows) if r and not r[0].startswith("#"))
last = rows[head + 1]
for i, name in enumerate(rows[head]):
    if name.startswith("eps"):
        last[i] = "9.5"
csv.writer(open(sys.argv[2], "w"), lineterminator="\n").writerows(rows)
END
check "a miss has exit code 1" exits 1 "$consilium" privacy check "$dir/wrong.csv"
check "a list that makes no sense is refused" exits 2 "$consilium" privacy epsilon --events g:2:1:500 --delta 1e-5
many=$(python3 -c "print('|'.join('g:%g:%g:30' % (0.005 + i * 2e-4, 1 + i * 5e-3) for i in range(60)))")
check "sixty different mechanisms are composed" says "r['epsilon_lower'] <= r['epsilon_upper'] <= r['epsilon_rdp'] and r['epsilon_upper'] < 1.02 * r['epsilon_lower']" \
    epsilon --events "$many" --delta 1e-5
check "a broken mechanism is flagged" exits 1 "$consilium" privacy audit-run --rate 0.02 --noise 1 --steps 100 --delta 1e-5 --fault no-noise

# ---- running sites ---------------------------------------------------------------------------------
open_consortium
add_site rome 41 0.2
add_site oslo 42 -0.2
start_site rome
start_site oslo
plan first "rome, oslo" 5
check "a study is launched" by ada launch "$dir/first.yaml"
done_rounds() { past first 2; }
check "it trains" within 40 done_rounds
cp "$dir/sites/oslo/vault/ledger" "$dir/old-ledger"
check "it ends" within 60 phase first finished
check "the vault says its slots" grep -q 'a round of training leaves every [0-9]*0 ms' "$dir/log/oslo"

# An old copy of the ledger: the chain holds, and the coordinator remembers more.
end_process TERM oslo
cp "$dir/old-ledger" "$dir/sites/oslo/vault/ledger"
start_site oslo
plan second "rome, oslo" 2
check "another study is launched" by ada launch "$dir/second.yaml"
told_back() { by ada status second --json >"$dir/second.json" && holds "$dir/second.json" \
    "[m for s in r['studies'] for m in s['sites'] if m['name'] == 'oslo' and m['verdict'] == 'refused' and 'set back' in m['reason']] != []"; }
check "a site whose ledger was set back takes no part and says why" within 10 told_back
