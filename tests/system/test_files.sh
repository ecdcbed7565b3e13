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
