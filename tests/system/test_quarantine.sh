#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A hostile site is refused, flagged, quarantined, told why, and released by an operator; the archive computes again to
# the same bits under any number of threads.
set -eu
. "$(dirname "$0")/federation.sh"

open_consortium
must enrol uma auditor "$dir/uma"
add_site north 31 0.2
add_site south 32 -0.2
add_site east 33 0.0
add_site mole 34 0.1
start_site north
start_site south
start_site east
CONSILIUM_HOSTILE_FACTOR=-30 start_site mole --vault "$hostile_vault"

plan guarded "north, south, east, mole" 1000 "aggregation.rule: nnm+trimmed-mean" "aggregation.byzantine: 1" \
    "aggregation.quorum: 3" "aggregation.deadline_s: 4" "validation.every: 1000" "privacy.noise_multiplier: 45" "privacy.epsilon: 8"
sed -i 's/^  quorum: 3/  quorum: 3\n  quarantine: 3\n  site_momentum: 0.5/; s/^  clip_norm: 1.0/  clip_norm: 1.0\n  noise_multiplier: 45/' \
    "$dir/guarded.yaml"
check "a study with a quarantine" by ada launch "$dir/guarded.yaml"
quarantined() {
    by ada status guarded --json >"$dir/status.json" &&
        holds "$dir/status.json" "[s['conduct']['quarantined'] for s in r['studies'][0]['sites'] if s['name'] == 'mole'] == [$1]"
}
check "the hostile site is quarantined after three flagged rounds" within 60 quarantined True
set_aside() { grep -q "study guarded task [0-9]*: set-aside mole" "$dir/log/coordinator"; }
check "its next update is set aside" within 30 set_aside
by ada status guarded --json >"$dir/status.json"
check "nobody else is flagged for what counts" holds "$dir/status.json" \
    "[s['name'] for s in r['studies'][0]['sites'] if s['conduct']['flagged'] > 0] == ['mole']"
check "status says so to people" sh -c "CONSILIUM_IDENTITY='$dir/ada' timeout 30 '$consilium' status guarded | grep -q 'QUARANTINED'"
told() { grep -q "quarantined after round" "$dir/log/mole"; }
check "the site is told why" within 20 told

check "a researcher may not release it" refuses 1 "only an operator" by ada site release mole --study guarded --reason no
check "who is not quarantined cannot be released" refuses 1 "is not quarantined" \
    by consortium/operator site release north --study guarded --reason no
end_process TERM mole
start_site mole
back() { grep -q "guarded" "$dir/log/mole"; }
must within 20 back
check "an operator releases it" by consortium/operator site release mole --study guarded --reason "the honest program is back"
check "and it is free" within 10 quarantined False
counts_again() { sed -n '/: released mole/,$p' "$dir/log/coordinator" | grep -q ': counted mole'; }
check "its updates count again" within 40 counts_again
must by ada stop guarded

# A rule whose buckets are drawn from the updates themselves is computed again from the archive, too.
plan mixed "north, south, east, mole" 3 "aggregation.rule: bucketing+median" "aggregation.quorum: 3"
sed -i 's/^  quorum: 3/  quorum: 3\n  bucket_size: 2/' "$dir/mixed.yaml"
check "a study with buckets" by ada launch "$dir/mixed.yaml"
check "finishes" finish mixed 60
sed '/bucket_size/d; s/^study: .*/study: sizeless/' "$dir/mixed.yaml" >"$dir/sizeless.yaml"
check "without a size of the buckets it is refused with the name of the key" refuses 1 "bucket_size" by ada launch "$dir/sizeless.yaml"
sed 's/bucketing+median/nnm/; s/^study: .*/study: rowful/' "$dir/mixed.yaml" >"$dir/rowful.yaml"
check "what gives a row for every site is no rule of a study" refuses 2 "gives no single aggregate" by ada launch "$dir/rowful.yaml"

check "the auditor takes the log home" by uma audit export --out "$dir/audit"
for threads in 1 2 7; do
    verify() { by uma audit verify "$dir/audit" --threads $threads --json >"$dir/verify.$threads"; }
    check "with $threads threads every round, flag, quarantine and release computes again" verify
done
same_verdicts() { cmp "$dir/verify.1" "$dir/verify.2" && cmp "$dir/verify.1" "$dir/verify.7"; }
check "whatever the number of threads" same_verdicts
check "rounds were computed" holds "$dir/verify.7" "r['rounds'] >= 5 and r['verified']"
entry() { grep -c "\"kind\":\"$1\"" "$dir/audit/log.jsonl"; }
check "quarantine and release stand in the log" test "$(entry quarantined)" = 1 -a "$(entry released)" = 1
check "so does every update that was set aside" test "$(entry set-aside)" -ge 1
quarantined_in=$(sed -n 's/.*"kind":"quarantined".*\\"round\\":\([0-9]*\).*/\1/p' "$dir/audit/log.jsonl")
check "signed anew, a log hides no quarantine" lie "does not tell that 'mole' was quarantined" drop quarantined "$quarantined_in"
check "gives no other reason for it" lie "another reason" change quarantined "$quarantined_in" "flagged rounds" "bad rounds"
check "hides no refusal" lie "tells it otherwise" drop refused 1
check "accuses nobody else" lie "tells it otherwise" change refused 1 mole north
check "declares no other patients" lie "signed another" change counted 1 '"declared_patients":200' '"declared_patients":900'
check "leaves out no end of a task" lie "told of twice|does not tell its end" drop task-completed 1
check "passes nobody off as silent" lie "lists other sites" change task-completed 1 '"north",' ''
check "threads that are no number" refuses 2 "from 1 to" by uma audit verify "$dir/audit" --threads 0
check "the report shows it" by ada report guarded --out "$dir/report"
check "with the figures of each update" holds "$dir/report/report.json" \
    "any(u['fate'] == 'refused' and 'rejected' in u['flags'] and u['noise']['verdict'] == 'too-much' for x in r['rounds'] for u in x.get('updates', []))"
check "and as a picture" grep -q "What the aggregation saw" "$dir/report/report.html"
