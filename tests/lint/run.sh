#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Format, direction of includes, owners of third-party headers, and what must not be committed.
set -u

cd "$(dirname "$0")/../.." || exit 2
status=0
complain() {
    echo "lint: $1" >&2
    status=1
}

sources=$(git ls-files '*.c' '*.h' 2>/dev/null)
[ -n "$sources" ] || sources=$(find linalg privacy proto coordinator agent tests -name '*.[ch]')

if command -v clang-format >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    clang-format --dry-run -Werror $sources || complain "clang-format -i on the files above"
else
    echo "lint: clang-format is not installed: format not checked"
fi

# forbid FOLDER OTHER ...: includes never point up the table of docs/architecture.md.
forbid() {
    from=$1
    shift
    for to in "$@"; do
        found=$(grep -rnE "^#include \"$to/" "$from" --include='*.[ch]')
        [ -z "$found" ] || complain "$from may not use $to:
$found"
    done
}
forbid linalg privacy proto coordinator agent
forbid privacy proto coordinator agent
forbid proto coordinator agent
forbid coordinator agent
forbid agent coordinator

# owner HEADER FILE ...: a third-party header is included in the files named here and in no other.
owner() {
    header=$1
    shift
    for file in $(grep -rlE "^#include <$header" linalg privacy proto coordinator agent \
        --include='*.[ch]'); do
        case " $* " in
        *" $file "*) ;;
        *) complain "$file includes <$header>, which belongs to: $*" ;;
        esac
    done
}
. tests/lint/owners.sh

marks=$(grep -rnE '\b(TODO|FIXME|XXX|HACK)\b' linalg privacy proto coordinator agent tests deploy \
    --include='*.[ch]' --include='*.build' --include='*.proto')
[ -z "$marks" ] || complain "unfinished places:
$marks"

for file in $sources; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || complain "$file has $lines lines and wants two names"
    head -n 1 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
        complain "$file does not open with its licence"
done
sh tests/lint/commands.sh || status=1
[ $status -eq 0 ] && echo "lint: clean"
exit $status
