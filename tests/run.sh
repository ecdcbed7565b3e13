#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds with AddressSanitizer and UBSan, runs every suite.
set -eu

usage() {
    cat <<'EOF'
usage: sh tests/run.sh [--suite NAME] [--build DIR]

Runs all tests and closes with "N passed, N failed".
  --suite NAME   one suite only: linalg, privacy, proto, coordinator, agent, sim, fuzz, system
  --build DIR    build folder (default: build-test beside the sources)
EOF
}

top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build-test
suite=
while [ $# -gt 0 ]; do
    case $1 in
    --suite) suite=${2:?--suite needs a name} && shift 2 ;;
    --build) build=${2:?--build needs a folder} && shift 2 ;;
    --help | -h) usage && exit 0 ;;
    *) echo "tests/run.sh: unknown option '$1'" >&2 && usage >&2 && exit 2 ;;
    esac
done

. "$top/deploy/packages.sh"
# shellcheck disable=SC2086
need_packages "to build and test" $packages_build $packages_test

[ -f "$build/build.ninja" ] ||
    meson setup "$build" "$top" -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
ninja -C "$build"

status=0
meson test -C "$build" --no-rebuild ${suite:+--suite "$suite"} || status=$?
log=$build/meson-logs/testlog.txt

# Every cmocka test and every line "ok - NAME" of a script counts by itself; a program without such lines, or one
# that crashed, counts as one; one that was passed over (exit code 77) does not count.
awk -v status="$status" '
    function flush() {
        if (open && result == 77) print "passed over: " name ": " reason
        if (!open || result == 77) return
        if (ok + bad == 0) { if (result == 0) ok = 1; else bad = 1 }
        else if (result != 0 && bad == 0) bad = 1
        passed += ok; failed += bad
        if (bad > 0) print "failed: " name
    }
    /^=+ [0-9]+\/[0-9]+ =+$/ { flush(); open = 1; ok = bad = 0; result = 1; name = reason = "" }
    /^test: / { name = $0; sub(/^test: +/, "", name) }
    /^result: / { result = ($0 ~ /exit status 0$/) ? 0 : ($0 ~ /exit status 77/) ? 77 : 1 }
    /^\[       OK \] / { ok++ }
    /^ok - / { ok++ }
    /: passed over$/ { reason = $0; sub(/: passed over$/, "", reason) }
    /^#   / { if (told) print; next }
    { told = 0 }
    /^not ok - / { bad++; told = 1; print name ": " $0 }
    /^\[  FAILED  \] / && !/test\(s\)/ { if (!seen[name $0]++) { bad++; print name ": " $0 } }
    END {
        flush()
        if (status != 0 && failed == 0) failed = 1
        printf "%d passed, %d failed\n", passed, failed
        exit failed > 0
    }' "$log"
