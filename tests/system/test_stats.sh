#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# consilium stats with bad input, every kind: a missing, empty or ragged file, columns of other names, text for
# a number, NaN, one class, one row. Either a typed status, or exit code 2 and one sentence that names the file,
# the line where there is one, and what to do. Never a crash.
set -eu
consilium=${CONSILIUM_BUILD:?is the build folder}/coordinator/cli/consilium
dir=$(mktemp -d "${TMPDIR:-/tmp}/consilium-stats-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir"
failures=0 runs=0
not_ok() {
    failures=$((failures + 1))
    echo "not ok - $*"
    sed 's/^/#   /' err
}
# run NAME KIND FILE...: keeps code, out and err; anything but 0 and 2 is a crash.
run() {
    runs=$((runs + 1)) name=$1 code=0
    shift
    timeout 60 "$consilium" stats "$@" >out 2>err || code=$?
    case $code in
    0) python3 -c 'import json; json.load(open("out"))' 2>/dev/null || not_ok "$name: no JSON" ;;
    2) [ "$(wc -l <err)" = 1 ] || not_ok "$name: not one sentence" ;;
    *) not_ok "$name: exit code $code" ;;
    esac
}
# refused TEXT: the last run was, and says so.
refused() {
    [ $code = 2 ] && grep -q -- "$1" err || not_ok "$name: does not say '$1'"
}
typed() { # typed STATUS: the last run gave a status or, where rows must lie in a range, named the line
    [ $code = 0 ] && grep -q "\"$1\"" out || { [ $code = 2 ] && grep -q " line [0-9]" err; } || not_ok "$name: not typed"
}

kind() { # kind NAME FILES HEADER ROW ROW ROW ROW
    name_of=$1 files=$2 header=$3
    shift 3
    width=$(echo "$header" | tr ',' '\n' | wc -l)
    fill() { yes "$1" | head -n "$width" | paste -sd, -; }
    printf '%s\n' "$header" "$@" >good.csv
    : >empty.csv
    printf '%s\n' "$header" >header.csv
    printf '%s\n' "$header" "$1" >one.csv
    printf 'foo,bar\n1,2\n' >other.csv
    printf '%s\n' "$header" "$1" "$1,9" >ragged.csv
    printf '%s\n' "$header" "$1" "$(fill abc)" >text.csv
    printf '%s\n' "$header" "$1" "$(fill nan)" >nan.csv
    { printf '\357\273\277'; cat good.csv; } >marked.csv
    again() { for copy in $(seq "$files"); do echo "$1"; done; }
    # shellcheck disable=SC2046
    {
        run "$name_of good" "$name_of" $(again good.csv)
        [ $code = 0 ] || not_ok "$name_of: refuses good input"
        run "$name_of marked" "$name_of" $(again marked.csv)
        [ $code = 0 ] || not_ok "$name_of: a byte-order mark is no fault"
        run "$name_of missing" "$name_of" $(again nowhere.csv)
        refused "nowhere.csv: No such file"
        run "$name_of empty" "$name_of" $(again empty.csv)
        refused "empty.csv is empty: its first line names the columns"
        run "$name_of folder" "$name_of" $(again .)
        refused "not a regular file"
        run "$name_of ragged" "$name_of" $(again ragged.csv)
        refused "ragged.csv line 3 has $((width + 1)) cells, its header $width"
        run "$name_of text" "$name_of" $(again text.csv)
        refused "text.csv line 3.*'abc' is no number"
        run "$name_of header only" "$name_of" $(again header.csv)
        run "$name_of one row" "$name_of" $(again one.csv)
        run "$name_of NaN" "$name_of" $(again nan.csv)
        typed invalid_input
        if [ "$name_of" != mmd ]; then
            run "$name_of other columns" "$name_of" $(again other.csv)
            refused "other.csv line 1 has no column '.*' but 'foo,bar': rename one"
        fi
    }
}
kind auroc 1 y,s1 1,.9 0,.2 1,.7 0,.4
kind auroc-paired 1 y,s1,s2 1,.9,.8 0,.2,.3 1,.7,.2 0,.4,.5
kind auroc-unpaired 2 y,s1 1,.9 0,.2 1,.7 0,.4
kind calibration 1 y,p 1,.9 0,.2 1,.7 0,.4
kind drift 2 x 1 2 3 4
kind mmd 2 a,b 1,2 2,3 3,1 4,2
kind permutation 1 y,s1,s2 1,.9,.8 0,.2,.3 1,.7,.2 0,.4,.5
kind pool 1 y,v .1,.01 .2,.02 .3,.01 .2,.01
kind eprocess 1 x 1 0 1 1
kind subgroup 1 y,p,g 1,.9,a 0,.2,b 1,.7,a 0,.4,b
kind suppression 1 g,n,n_pos a,100,20 b,50,12 c,12,1 d,80,40
kind hist-auc 1 y,p 1,.9 0,.2 1,.7 0,.4
kind conformal 1 y,p 1,.9 0,.2 1,.7 0,.4
kind cindex 1 time,event,risk 1,1,.5 2,0,.3 3,1,.2 4,1,.1
kind aacp 1 t,j,i,d0,se0 2,1,0,.1,.01 3,1,0,.1,.01 3,2,0,.1,.01 3,2,1,.1,.01

# One class only, in every kind that needs two.
printf 'y,s1,s2,p\n1,.9,.8,.9\n1,.2,.3,.2\n1,.7,.2,.7\n' >class.csv
for name_of in auroc auroc-paired calibration permutation hist-auc; do
    run "$name_of of one class" "$name_of" class.csv
    typed single_class
done
run "unpaired of one class" auroc-unpaired class.csv class.csv
typed single_class

# A matrix has no names of columns; its last kind of trouble is a row without a number.
printf 'a,b\n.8,.7\n.6,nan\nnan,nan\n' >hole.csv
run "matrix with a hole" matrix hole.csv
refused "has no number: leave that site out"
run "matrix missing" matrix nowhere.csv
refused "No such file"
printf 'a;b\n1,5;2\n' >semicolons.csv
run "semicolons" auroc semicolons.csv
refused "line 2 has 2 cells, its header 1: commas separate cells, not semicolons, and numbers"

# JSON inputs.
for name_of in gate merkle hash-chain; do
    run "$name_of missing" "$name_of" nowhere.json
    refused "No such file"
    : >in.json
    run "$name_of empty" "$name_of" in.json
    refused "in.json line 1 is not JSON"
    echo '[]' >in.json
    run "$name_of list" "$name_of" in.json
    refused "an object of inputs is needed"
    echo '{}' >in.json
    run "$name_of nothing inside" "$name_of" in.json
done

# Options and kinds.
run "unknown kind" nokind good.csv
refused "no statistic 'nokind'"
run "unknown option" auroc good.csv --foo 1
refused "does not take '--foo'"
printf 'y,p\n1,.9\n0,.2\n' >two.csv
for bins in abc 0 -5 1e9; do
    run "bins $bins" hist-auc two.csv --bins "$bins"
    refused "bins"
done
run "times that fall" group-sequential --times .2,.1
refused "times must ascend"
run "no times" group-sequential
refused "times"

echo "$runs runs, $failures failed"
[ $failures = 0 ]
