#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs each libFuzzer target for a while from its corpus; new inputs stay in the build folder.
# usage: tests/fuzz/run.sh BUILD [SECONDS] [NAME...]
#   BUILD made by: CC=clang meson setup BUILD -Dfuzzers=true -Db_sanitize=address,undefined \
#     -Db_lundef=false
set -eu
[ $# -ge 1 ] || { sed -n 's/^# //p' "$0" >&2; exit 2; }
build=$(cd "$1" && pwd)
seconds=${2:-60}
here=$(cd "$(dirname "$0")" && pwd)
shift; [ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cd "$here" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
status=0
for name in "$@"; do
    found=$build/fuzz-found/$name
    mkdir -p "$found"
    echo "== $name, $seconds s"
    "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="$found/" "$found" "$here/corpus/$name" 2>"$found.log" || status=1
    [ -x "$build/tests/fuzz/fuzz_$name" ] || { echo "not built: fuzz_$name" >&2; continue; }
    grep -E 'ERROR|SUMMARY|stat::number_of_executed_units|cov:' "$found.log" | tail -3 || status=1
done
exit $status
