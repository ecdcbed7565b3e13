#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Files as people and other programs write them: quoted headers, byte order marks, CRLF, arrays of another kind.
set -eu
. "$(dirname "$0")/federation.sh"

# auroc_of TEXT: of a table in that form (printf's escapes) is 0.75.
auroc_of() {
    printf "$1" >"$dir/table.csv"
    "$consilium" stats auroc "$dir/table.csv" >"$dir/auroc.json" && holds "$dir/auroc.json" "r['single']['auc'] == 0.75"
}
check "a plain table" auroc_of 'y,s1\n1,0.9\n0,0.1\n1,0.4\n0,0.5\n'
check "with a byte order mark and CRLF" auroc_of '\357\273\277y,s1\r\n1,0.9\r\n0,0.1\r\n1,0.4\r\n0,0.5\r\n\r\n'
check "with quotes, a column of row names, and a comma in a cell" \
    auroc_of '"","y","s1","note"\n"1",1,0.9,"a, b"\n"2",0,"0.1",""\n"3",1,0.4,"say ""c"""\n"4",0,0.5,d\n'
printf 'y;s1\n1;0,9\n0;0,1\n' >"$dir/table.csv"
check "semicolons are named" refuses 2 "not semicolons" "$consilium" stats auroc "$dir/table.csv"

help_of() { "$@" --help >"$dir/help" 2>"$dir/help.err" && [ -s "$dir/help" ] && [ ! -s "$dir/help.err" ]; }
for command in init site plan simulate launch watch status report model gate validate monitor incident stop resume audit aggregate codec privacy stats; do
    check "$command explains itself" help_of "$consilium" $command
done
for command in enrol run policy check-data approve refuse budget show head; do
    check "the site's $command, too" help_of "$agent" $command
done
# An option that is none is told before anything else is asked for: an identity, a file, a folder.
odd() { # odd PROGRAM COMMAND...: each refuses it by its name
    odd_program=$1
    shift
    for odd_command in "$@"; do
        # shellcheck disable=SC2086
        refuses 2 "'--bogus' is not an option" env -u CONSILIUM_IDENTITY "$odd_program" $odd_command --bogus || return 1
    done
}
check "an option that no command has" odd "$consilium" "init x" "site request x" "site install x y" "site approve x y" \
    "site revoke x y" "site release x" "site list x" "plan check x" "simulate" "launch x" "watch x" "status" "report x" \
    "gate explain x" "gate look x" "gate policy show" "gate pccp show" "gate pccp check x" "gate ledger" "validate" \
    "monitor start x" "monitor stop x" "monitor list" "monitor show x" "monitor look x" "incident open x" \
    "incident list" "incident close x" "model list" "model show x" "model promote x" "model rollback x" \
    "model export x" "model passport x" "audit export" "audit verify x" "audit prove x" "privacy statement x" \
    "privacy ledger x" "privacy check x" "stop x" "resume x" "aggregate" "codec stats"
check "and none of the site's" odd "$agent" "enrol x" "run x" "policy x" "check-data x" "approve x y" "budget x" "show x" "head x"
check "an option without its value" refuses 2 "'--as' is not an option of status, is given twice or lacks its value" "$consilium" status --as
check "the policy of a folder that is not there" refuses 2 "no such folder" "$agent" policy "$dir/nowhere"

# array NAME DESCR ORDER: a .npy file of two rows of two doubles, or said to be of another kind.
array() {
    python3 - "$dir/$1.npy" "$2" "$3" <<'END'
import struct, sys
head = "{'descr': '%s', 'fortran_order': %s, 'shape': (2, 2), }" % (sys.argv[2], sys.argv[3])
head = head + " " * ((64 - (11 + len(head)) % 64) % 64) + "\n"
open(sys.argv[1], "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<4d", 1, 2, 3, 5))
END
}
mean() { "$consilium" aggregate --rule mean --in "$dir/$1.npy" --out "$dir/out.npy"; }
array plain '<f8' False
array columns '<f8' True
array whole '<i8' False
check "an array of doubles" mean plain
check "one in another order is refused with what to do" refuses 2 "ascontiguousarray" mean columns
check "one of whole numbers, too" refuses 2 "astype" mean whole
check "threads that are no number" refuses 2 "from 1 to" \
    "$consilium" aggregate --rule mean --in "$dir/plain.npy" --out "$dir/out.npy" --threads many
check "an option that is none" refuses 2 "'--rul' is not an option" \
    "$consilium" aggregate --rul mean --in "$dir/plain.npy" --out "$dir/out.npy"
check "an option that is missing" refuses 2 "out Y.npy is needed" \
    "$consilium" aggregate --rule mean --in "$dir/plain.npy"
remarks() { "$consilium" aggregate --rule median --param tau=1 --in "$dir/plain.npy" --out "$dir/out.npy" 2>&1 | grep -q "median does not use the parameter tau"; }
check "a parameter that the rule does not use" remarks
check "a parameter given twice" refuses 2 "the parameter f is given twice" \
    "$consilium" aggregate --rule trimmed-mean --f 0 --param f=0 --in "$dir/plain.npy" --out "$dir/out.npy"
check "a rule with a typo" refuses 2 "did you mean 'trimmed-mean'" \
    "$consilium" aggregate --rule nnm+trimed_mean --f 0 --in "$dir/plain.npy" --out "$dir/out.npy"
check "a folder for an array" refuses 2 "is a folder" \
    "$consilium" aggregate --rule mean --in "$dir" --out "$dir/out.npy"
printf '1,2,3\n' >"$dir/weights.txt"
check "weights that are too many, with both files" refuses 2 "weights.txt has 3 weights for the 2 rows of .*plain.npy" \
    "$consilium" aggregate --rule weighted-mean --weights "$dir/weights.txt" --in "$dir/plain.npy" --out "$dir/out.npy"
head -c 150 "$dir/plain.npy" >"$dir/short.npy"
check "an array that was cut short" refuses 2 "22 bytes after its header, not 32" mean short
printf '1\n-2\n' >"$dir/weights.txt"
check "a weight below nothing, with its file" refuses 2 "weights.txt: weight 1 must be" \
    "$consilium" aggregate --rule weighted-mean --weights "$dir/weights.txt" --in "$dir/plain.npy" --out "$dir/out.npy"

explained() {
    "$consilium" aggregate --rule krum-nf1 --f 0 --in "$dir/plain.npy" --out "$dir/out.npy" --explain --json >"$dir/explain.json" &&
        holds "$dir/explain.json" "[x['neighbours'] for x in r] == [[1], [0]] and r[0]['distances'][0] == 0 and r[0]['weight'] == 1"
}
check "neighbours, distances and weights are explained" explained

# manifest RULE EXPECTED IN: of two rows of two doubles, checked; what is not a number or not there is a failure.
manifest() {
    python3 - "$dir" "$@" <<'END'
import json, struct, sys
folder, rule, expected, rows = sys.argv[1:]
case = {"id": "a", "n": 2, "d": 2, "f": 0, "in": rows, "out": "want.f64",
        "outputs": [{"rule": rule, "params": {}, "offset": 0, "len": 2, "shape": [2], "tol": 1e-9}]}
json.dump({"cases": [case, dict(case, id="b", **{"in": "rows.f64"})]}, open(folder + "/m.json", "w"))
open(folder + "/rows.f64", "wb").write(struct.pack("<4d", 1, 2, 3, 5))
open(folder + "/want.f64", "wb").write(struct.pack("<2d", *map(float, expected.split(","))))
END
    "$consilium" aggregate --check "$dir/m.json"
}
verdict() { # verdict CODE TEXT ARGUMENT...: of a manifest
    verdict_code=$1 verdict_text=$2 verdict_got=0
    shift 2
    manifest "$@" >"$dir/m.out" 2>&1 || verdict_got=$?
    cat "$dir/m.out"
    [ "$verdict_got" = "$verdict_code" ] && grep -qE "$verdict_text" "$dir/m.out"
}
check "a manifest that holds" verdict 0 "2 passed, 0 failed" mean 2,3.5 rows.f64
check "one that does not" verdict 1 "0 passed, 2 failed" mean 2,3.6 rows.f64
check "what is not a number never holds" verdict 1 "0 passed, 2 failed" mean nan,3.5 rows.f64
check "an unknown rule fails" verdict 1 "FAIL: no rule 'magic'" magic 2,3.5 rows.f64
check "a file that is not there fails, and the rest is checked" verdict 1 "1 passed, 1 failed" mean 2,3.5 none.f64

# Frames through files, whole and cut.
round_trip() {
    "$consilium" codec encode --codec "$1" --in "$dir/plain.npy" --out "$dir/frame" &&
        "$consilium" codec decode --in "$dir/frame" --out "$dir/back.npy"
}
for codec in raw32 bf16 int8b eden-1 eden-2 eden-3 eden-4 eden-8 topk-ef:2 randk-shared:0.5; do
    check "$codec through a file" round_trip "$codec"
    head -c 54 "$dir/frame" >"$dir/cut"
    check "and cut" refuses 2 "cut is cut short or damaged" "$consilium" codec decode --in "$dir/cut" --out "$dir/back.npy"
done
check "a file that is no frame" refuses 2 "no compressed vector" \
    "$consilium" codec decode --in "$dir/plain.npy" --out "$dir/back.npy"
check "no such action" refuses 2 "encode, decode or stats" "$consilium" codec press --in "$dir/plain.npy"
