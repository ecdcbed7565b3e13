#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A federation of five hospitals on this machine: installs, builds, enrols, trains, reports, cleans up.
set -eu

usage() {
    cat <<'EOF'
usage: sh deploy/demo.sh [--data DIR --plan FILE] [--byzantine SITE] [--kill SITE] [--out DIR] [--short]

Five hospitals train one model on real patients over mutually authenticated TLS, each with its own
processes, keys and folder, and you get a report. Without options: 7,200 thyroid patients.

  --data DIR         your own patients: one CSV per site of the plan, DIR/<site>.csv
  --plan FILE        the study's plan (see deploy/plans)
  --byzantine SITE   this site sends hostile updates: turned round and scaled up
  --kill SITE        this site is killed in the middle of the study, and comes back
  --out DIR          where everything is written (default: demo-run beside the sources)
  --short            a few rounds only
EOF
}

top=$(cd "$(dirname "$0")/.." && pwd)
out=$top/demo-run
data= plan= byzantine= kill_site= short=
while [ $# -gt 0 ]; do
    case $1 in
    --data) data=${2:?--data needs a folder} && shift 2 ;;
    --plan) plan=${2:?--plan needs a file} && shift 2 ;;
    --byzantine) byzantine=${2:?--byzantine needs a site} && shift 2 ;;
    --kill) kill_site=${2:?--kill needs a site} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --short) short=1 && shift ;;
    --help | -h) usage && exit 0 ;;
    *) echo "demo.sh: unknown option '$1'" >&2 && usage >&2 && exit 2 ;;
    esac
done
say() { printf '%s\n' "$*"; }
die() {
    printf 'demo.sh: %s\n' "$*" >&2
    exit 1
}

[ -z "$data" ] || [ -n "$plan" ] || die "--data needs --plan: the plan says what the columns mean"
[ -z "$plan" ] || [ -n "$data" ] || die "--plan needs --data: the folder with one CSV per site"
[ -z "$plan" ] || [ -r "$plan" ] || die "there is no plan '$plan'"
[ -z "$data" ] || [ -d "$data" ] || die "there is no folder '$data'"

# ---- install and build -------------------------------------------------------------------------
. "$top/deploy/packages.sh"
# shellcheck disable=SC2086
need_packages "to build and run Consilium" $packages_build
build=$top/build
[ -w "$top" ] || build=${TMPDIR:-/tmp}/consilium-build-$(id -u)
if [ ! -f "$build/build.ninja" ]; then
    say "Building (release)"
    meson setup "$build" "$top" >"${TMPDIR:-/tmp}/consilium-setup-$$.log" 2>&1 || {
        tail -n 20 "${TMPDIR:-/tmp}/consilium-setup-$$.log" >&2
        die "meson could not configure the build"
    }
    rm -f "${TMPDIR:-/tmp}/consilium-setup-$$.log"
fi
ninja -C "$build" coordinator/cli/consilium coordinator/consilium-coordinator agent/cli/consilium-agent \
    agent/consilium-vault agent/consilium-hostile-vault >"$build/demo-build.log" 2>&1 || {
    grep -E 'error|FAILED' "$build/demo-build.log" | head -n 20 >&2
    die "the build failed; the whole output is in $build/demo-build.log"
}
consilium=$build/coordinator/cli/consilium
agent=$build/agent/cli/consilium-agent
broker=$(command -v mosquitto || echo /usr/sbin/mosquitto)

# ---- a fresh folder ----------------------------------------------------------------------------
if [ -e "$out" ] && [ ! -e "$out/.consilium-demo" ] && [ -n "$(ls -A "$out" 2>/dev/null)" ]; then
    die "$out holds something else; give another --out"
fi
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
: >"$out/.consilium-demo"
log=$out/log
mkdir "$log"

pids=
started() { pids="$1 $pids"; }
stop_all() {
    [ ! -r "$out/returned.pid" ] || pids="$(cat "$out/returned.pid") $pids"
    for pid in $pids; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in $pids; do
        wait "$pid" 2>/dev/null || true
    done
    pids=
}
trap 'stop_all' EXIT
trap 'exit 130' INT TERM

# ---- patients and plan -------------------------------------------------------------------------
mapping_columns=
if [ -z "$data" ]; then
    say "Fetching 7,200 thyroid patients (Debian package libfann-doc) and dealing them over five hospitals"
    data=$out/patients
    sh "$top/deploy/thyroid/deal.sh" "$data"
    plan=$top/deploy/plans/thyroid.yaml
    mapping_columns='columns:
  - plan: hypothyroid
    column: diagnosis
    codes: [{from: normal, to: "no"}, {from: compensated, to: "yes"}, {from: primary, to: "yes"}]'
    note="The patients are real; their split over five hospitals is ours."
fi
data=$(cd "$data" && pwd)
"$consilium" plan check "$plan" >"$log/plan-check.txt" || die "the plan does not hold (see above)"
sites=$(sed -n 's/^sites: *\[\(.*\)\].*/\1/p' "$plan" | tr ',' ' ')
study=$(sed -n 's/^study: *\([A-Za-z0-9_-]*\).*/\1/p' "$plan")
[ -n "$sites" ] || die "$plan names its sites on several lines; write them as sites: [a, b, ...]"
for site in $sites; do
    [ -r "$data/$site.csv" ] || die "$data has no $site.csv, which the plan's site '$site' needs"
done
for site in $byzantine $kill_site; do
    case " $sites " in *" $site "*) ;; *) die "'$site' is not a site of the plan: $sites" ;; esac
done
cp "$plan" "$out/plan.yaml"
if [ -n "$short" ]; then
    sed 's/^\( *rounds:\).*/\1 4/; s/^\( *every:\).*/\1 2/' "$plan" >"$out/plan.yaml"
fi

# ---- the consortium ----------------------------------------------------------------------------
say "Creating a consortium: authority, coordinator, broker, and its members"
port=
try=0
while [ $try -lt 20 ]; do
    candidate=$((20000 + ($$ * 7 + try * 131) % 20000))
    if ! grep -q ":$(printf '%04X' "$candidate") " /proc/net/tcp /proc/net/tcp6 2>/dev/null; then
        port=$candidate
        break
    fi
    try=$((try + 1))
done
[ -n "$port" ] || die "found no free port on this machine"
consortium=$out/consortium
"$consilium" init "$consortium" --name demo --host 127.0.0.1 --port "$port" >"$log/init.txt"
enrol() { # enrol NAME ROLE FOLDER
    if [ "$2" = site ]; then
        "$agent" enrol "$3" --name "$1" >"$log/enrol-$1.txt"
    else
        "$consilium" site request "$3" --name "$1" --role "$2" >"$log/enrol-$1.txt"
    fi
    "$consilium" site approve "$consortium" "$3/$1.request" --yes >>"$log/enrol-$1.txt"
    if [ "$2" = site ]; then
        "$agent" enrol "$3" --install "$consortium/bundles/$1.bundle" --yes >>"$log/enrol-$1.txt"
    else
        "$consilium" site install "$3" "$consortium/bundles/$1.bundle" --yes >>"$log/enrol-$1.txt"
    fi
}
enrol researcher researcher "$out/researcher"
enrol auditor auditor "$out/auditor"
for site in $sites; do
    folder=$out/sites/$site
    mkdir -p "$out/sites"
    enrol "$site" site "$folder"
    mkdir -p "$folder/data"
    cp "$data/$site.csv" "$folder/data/$site.csv"
    rows=$(($(wc -l <"$folder/data/$site.csv") - 1))
    # A hospital declares a round public number, never the exact count.
    {
        say "version: 1"
        say "data: $site.csv"
        say "declared_patients: $((rows / 50 * 50 + 50))"
        [ -z "$mapping_columns" ] || say "$mapping_columns"
    } >"$folder/mapping.yaml"
    cat >"$folder/policy.yaml" <<EOF
version: 1
decision: allow
researchers: [researcher]
privacy_required: false
epsilon_per_study: 8
epsilon_per_year: 16
epsilon_total: 32
delta: 1.0e-5
min_patients: 50
EOF
done

# ---- start ---------------------------------------------------------------------------------------
"$broker" -c "$consortium/broker/mosquitto.conf" >"$log/broker.log" 2>&1 &
started $!
"$build/coordinator/consilium-coordinator" --dir "$consortium" >"$log/coordinator.log" 2>&1 &
started $!
run_site() {
    if [ "$1" = "$byzantine" ]; then
        "$agent" run "$out/sites/$1" --vault "$build/agent/consilium-hostile-vault" >>"$log/$1.log" 2>&1 &
    else
        "$agent" run "$out/sites/$1" >>"$log/$1.log" 2>&1 &
    fi
    started $!
    eval "pid_$(echo "$1" | tr -c 'a-z0-9\n' '_')=$!"
}
for site in $sites; do
    run_site "$site"
done
sleep 1
for pid in $pids; do
    kill -0 "$pid" 2>/dev/null || {
        tail -n 3 "$log"/*.log >&2
        die "a process ended at once; its log in $log says why"
    }
done
say "Started the broker on port $port, the coordinator, and an agent and a vault at each of: $sites"
[ -z "$byzantine" ] || say "Site $byzantine sends hostile updates."

# ---- the study -------------------------------------------------------------------------------------
"$consilium" launch "$out/plan.yaml" --as "$out/researcher"
if [ -n "$kill_site" ]; then
    # Kill agent and vault at once, as a power cut would, in the third round; start them again after a while.
    (
        while ! "$consilium" status "$study" --as "$consortium/operator" 2>/dev/null | grep -qE 'round +([3-9]|[1-9][0-9]+) of'; do
            sleep 0.1
        done
        eval "pid=\$pid_$(echo "$kill_site" | tr -c 'a-z0-9\n' '_')"
        children=$(pgrep -P "$pid" || true)
        # shellcheck disable=SC2086
        kill -9 "$pid" $children 2>/dev/null || true
        say "      $kill_site was killed"
        sleep 1
        "$agent" run "$out/sites/$kill_site" >>"$log/$kill_site.log" 2>&1 &
        echo $! >"$out/returned.pid"
        say "      $kill_site is started again"
    ) &
    started $!
fi
"$consilium" watch "$study" --as "$out/researcher" || die "the study did not finish; see $log"

# ---- the report --------------------------------------------------------------------------------------
"$consilium" report "$study" --as "$out/researcher" --out "$out"
"$consilium" model export "$study" --as "$out/researcher" --out "$out/model"
"$consilium" audit export --as "$out/auditor" --out "$out/audit"
"$consilium" audit verify "$out/audit"
# Peak resident memory of each process, in MB.
peak() { awk '/^VmHWM/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status" 2>/dev/null || echo "?"; }
for pid in $pids; do
    name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
    parts=$(peak "$pid")
    for child in $(pgrep -P "$pid" || true); do
        parts="$parts + $(peak "$child")"
    done
    say "$name: $parts MB"
done >"$log/memory.txt"
say "Peak memory by process, a site's own and its children's: $(sort -u "$log/memory.txt" | tr '\n' ';')"
stop_all
[ -z "${note:-}" ] || say "$note"
say "Report: $out/report.html and $out/report.json; model: $out/model.npz and .json; logs: $log"
