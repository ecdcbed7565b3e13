#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every subcommand of the command-line tables stands in its manual page and its shell completion, and
# every option that a page or a completion names stands in the sources.
set -u

cd "$(dirname "$0")/../.." || exit 2
status=0
complain() {
    echo "lint: $1" >&2
    status=1
}

# Names of a table's entries: {"name", function, "summary"}.
entries() { sed -nE 's/^ *\{"([a-z-]+)", [a-z_]+, ?.*$/\1/p' "$@"; }

# The page without roff's marks, so that a command reads as it is typed.
plain() { sed -E 's/\\-/-/g; s/"//g; s/^\.[A-Z]+ //; s/ +/ /g' "$1"; }

# has_command PAGE COMPLETION PROGRAM COMMAND [BELOW]
has_command() {
    plain "$1" | grep -qE -- "^$3 $4${5:+ $5}( |\$)" || complain "$1 does not tell of '$3 $4 $5'"
    grep -qE -- "(^|[^a-z-])${5:-$4}([^a-z-]|\$)" "$2" || complain "$2 does not know '$4 $5'"
}

page=docs/man/consilium.1
completion=deploy/completion/consilium.bash
count=0
for name in $(entries coordinator/cli/main.c); do
    file=coordinator/cli/cmd_$name.c
    has_command $page $completion consilium "$name" ""
    count=$((count + 1))
    [ -r "$file" ] && grep -q 'cli_dispatch(' "$file" || continue
    for below in $(entries "$file"); do
        has_command $page $completion consilium "$name" "$below"
        count=$((count + 1))
    done
done
for name in $(entries agent/cli/main.c); do
    has_command docs/man/consilium-agent.8 deploy/completion/consilium-agent.bash consilium-agent \
        "$name" ""
    count=$((count + 1))
done
[ "$count" -gt 20 ] || complain "only $count commands were found: the tables look otherwise now"

# options FILE ... : what is named there must be in the sources that follow --.
options() {
    sources=$1
    shift
    for option in $(cat "$@" | sed 's/\\-/-/g' | grep -oE -- '--[a-z][a-z-]+' | sort -u); do
        [ "$option" = --help ] && continue
        # shellcheck disable=SC2086
        grep -rqF -- "$option" $sources ||
            complain "'$option' of $* is in none of: $sources"
    done
}
options "coordinator/cli" $page $completion
options "agent/cli agent/vault/main.c" docs/man/consilium-agent.8 deploy/completion/consilium-agent.bash
options "coordinator/main.c" docs/man/consilium-coordinator.8

# Links from one document to another, or to a source file, lead somewhere.
for file in README.md CHANGELOG.md docs/*.md docs/guides/*.md docs/adr/*.md; do
    [ -r "$file" ] || continue
    for link in $(grep -oE '\]\([^)#: ]+[^): ]*\)' "$file" | sed -E 's/^\]\(//; s/[)#].*$//'); do
        [ -e "$(dirname "$file")/$link" ] || complain "$file links to $link, which is not there"
    done
done

[ $status -eq 0 ] && echo "lint: $count commands documented"
exit $status
