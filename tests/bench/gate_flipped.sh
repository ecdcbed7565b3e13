#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the gate says of a candidate trained while one site's labels are partly flipped, against the
# honest model in use. Only training rows are flipped: every holdout stays honest.
# usage: gate_flipped.sh BUILD DATA SITE PERCENT... (DATA: the folder of the encoded stroke files)
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd) data=$(cd "$2" && pwd) flipped_site=$3
shift 3
out=$(mktemp -d)
consilium=$build/coordinator/cli/consilium
agent=$build/agent/cli/consilium-agent
broker=$(command -v mosquitto || echo /usr/sbin/mosquitto)
plan=$top/deploy/plans/stroke-encoded.yaml
sites=$(sed -n 's/^sites: *\[\(.*\)\].*/\1/p' "$plan" | tr ',' ' ')
pids=
stop_all() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$out"
}
trap stop_all EXIT

consortium=$out/consortium
"$consilium" init "$consortium" --name evidence --host 127.0.0.1 --port $((21000 + $$ % 18000)) >"$out/log"
echo '{"policy": {"auc_floor": 0.7}, "stages": {"shadow_min_days": 0, "pilot_min_days": 0}}' >"$consortium/gate.json"
"$consilium" site request "$out/researcher" --name researcher --role researcher >>"$out/log"
"$consilium" site approve "$consortium" "$out/researcher/researcher.request" --yes >>"$out/log"
"$consilium" site install "$out/researcher" "$consortium/bundles/researcher.bundle" --yes >>"$out/log"
for site in $sites; do
    folder=$out/$site
    "$agent" enrol "$folder" --name "$site" >>"$out/log"
    "$consilium" site approve "$consortium" "$folder/$site.request" --yes >>"$out/log"
    "$agent" enrol "$folder" --install "$consortium/bundles/$site.bundle" --yes >>"$out/log"
    mkdir -p "$folder/data"
    cp "$data/$site.csv" "$folder/data/"
    printf 'version: 1\ndata: %s.csv\ndeclared_patients: %s\n' "$site" \
        $(($(wc -l <"$data/$site.csv") / 50 * 50 + 50)) >"$folder/mapping.yaml"
    printf 'version: 1\ndecision: allow\nresearchers: [researcher]\nprivacy_required: false\nepsilon_per_study: 8\nepsilon_per_year: 16\nepsilon_total: 32\ndelta: 1.0e-5\nmin_patients: 50\n' \
        >"$folder/policy.yaml"
done
"$broker" -c "$consortium/broker/mosquitto.conf" >"$out/broker.log" 2>&1 &
pids="$! $pids"
"$build/coordinator/consilium-coordinator" --dir "$consortium" >"$out/coordinator.log" 2>&1 &
pids="$! $pids"
run_site() {
    "$agent" run "$out/$1" --vault "$build/agent/consilium-vault" >>"$out/$1.log" 2>&1 &
    pids="$! $pids"
    [ "$1" != "$flipped_site" ] || flipped_pid=$!
}
for site in $sites; do run_site "$site"; done
sleep 1

study() { # study NAME
    sed "s/^study: .*/study: $1/" "$plan" >"$out/$1.yaml"
    "$consilium" launch "$out/$1.yaml" --as "$out/researcher" >>"$out/log"
    "$consilium" watch "$1" --as "$out/researcher" >>"$out/log"
}
study honest
for who in researcher researcher ../operator researcher ../operator; do
    folder=$out/$who
    [ "$who" = researcher ] || folder=$consortium/operator
    "$consilium" model promote honest --as "$folder" >>"$out/log"
done
"$consilium" model list --as "$out/researcher"
for percent in "$@"; do
    awk -F, -v OFS=, -v percent="$percent" 'BEGIN { srand(1) }
        NR == 1 { for (i = 1; i <= NF; i++) { if ($i == "dead_or_dependent_6m") y = i; if ($i == "fold") f = i } }
        NR > 1 && $f != "0" && $y != "" && 100 * rand() < percent { $y = 1 - $y }
        { print }' "$data/$flipped_site.csv" >"$out/flipped.csv"
    mv "$out/flipped.csv" "$out/$flipped_site/data/$flipped_site.csv"
    kill "$flipped_pid" && wait "$flipped_pid" || true
    run_site "$flipped_site"
    study "flipped-$percent"
    echo "== $percent % of the training labels of $flipped_site flipped"
    "$consilium" gate explain "flipped-$percent" --as "$out/researcher" || true
done
