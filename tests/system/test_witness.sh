#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sites hold heads of the coordinator's log and sign them. A coordinator whose store is put back to an older
# state is noticed by the sites, which take no task until a human accepts the other head.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
add_site rome 11 0.3
add_site oslo 12 -0.3
for site in rome oslo; do start_site "$site"; done
plan first "rome, oslo" 2
check "a study is launched" by ada launch "$dir/first.yaml"
check "it finishes" finish first 60

held() { "$agent" head "$dir/sites/$1" --json >"$dir/head-$1.json" && holds "$dir/head-$1.json" "$2"; }
check "both sites hold a signed head" within 10 held rome "r['held']['size'] > 5"
check "the other too" within 10 held oslo "r['held']['size'] > 5 and r['problem'] == ''"
check "the log goes home" by consortium/operator audit export --out "$dir/audit" --json
by consortium/operator audit verify "$dir/audit" --json >"$dir/verify.json" 2>&1 || true
check "and both signed it as witnesses" holds "$dir/verify.json" "r['verified'] and r['witnesses'] == 2"

check "signed anew, a log leaves out no gate" lie "no gate is told" drop gate 2
check "and names no other best round" lie "the log says another" change finished 2 '"best_round":[0-9]*' '"best_round":7'
check "nor leaves figures out" lie "what came of it" drop pooled 2

prove() {
    by ada audit prove "$dir/audit" --entry 3 --out "$dir/proof.json" &&
        by ada audit prove --check "$dir/proof.json" --json >"$dir/proved.json" &&
        holds "$dir/proved.json" "r['verified'] and r['key_known'] and r['entry'] == 3 and r['witnesses'] == 2"
}
check "one entry is proved to whoever has no log" prove
sed 's/"entry_number": 3/"entry_number": 4/' "$dir/proof.json" >"$dir/other.json"
check "another place is not" refuses 1 'does not stand' by ada audit prove --check "$dir/other.json"
python3 - "$dir/audit/witnesses.json" <<'END'
import json, sys
r = json.load(open(sys.argv[1]))
w = r["witnesses"][0]
w["root"] = w["root"][::-1]
json.dump(r, open(sys.argv[1], "w"))
END
check "an altered witness is refused" refuses 1 'witness' by consortium/operator audit verify "$dir/audit"

# An old backup of the store comes back.
end_process TERM coordinator
cp -a "$dir/consortium" "$dir/backup"
start_coordinator
plan second "rome, oslo" 2
check "another study" by ada launch "$dir/second.yaml"
check "finishes too" finish second 60
check "and its entries are held" within 10 held rome "r['held']['size'] > 15"
end_process KILL coordinator
rm -f "$dir"/consortium/coordinator.db*
cp -a "$dir"/backup/. "$dir/consortium/"
start_coordinator
plan third "rome, oslo" 1
check "a third study" by ada launch "$dir/third.yaml"
check "the old state is noticed by a site" within 20 held rome "'put back' in r['problem']"
check "and by the other" within 20 held oslo "'put back' in r['problem'] and r['contradicting']"
check "the coordinator says so" within 10 grep -q 'does not contain' "$dir/log/coordinator"
check "the study gets no work but the reason" within 30 grep -q 'third.*declined.*put back' "$dir/log/coordinator"
accept() { "$agent" head "$dir/sites/$1" --accept; }
check "a human accepts the other log at one site" accept rome
check "and at the other" accept oslo
check "the site goes on from it" within 30 held rome "r['problem'] == ''"
check "nothing to accept is refused" refuses 1 'nothing contradicts' accept rome
