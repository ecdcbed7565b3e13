# SPDX-License-Identifier: Apache-2.0
# A small consortium of real processes for the system tests: made-up patients, one broker, one coordinator,
# agents and vaults, all in one temporary folder and stopped by their numbers. Sourced, not run.
# CONSILIUM_BUILD is the build folder; CONSILIUM_KEEP=1 leaves the temporary folder behind.

build=${CONSILIUM_BUILD:?is the build folder}
consilium=$build/coordinator/cli/consilium
coordinator=$build/coordinator/consilium-coordinator
agent=$build/agent/cli/consilium-agent
hostile_vault=$build/agent/consilium-hostile-vault
broker=$(command -v mosquitto || echo /usr/sbin/mosquitto)
if [ ! -x "$broker" ]; then
    echo "mosquitto is not installed: passed over"
    exit 77
fi

# As root, "as-nobody" runs the script again as an ordinary user, if that one can reach the programs.
if [ "${1:-}" = as-nobody ]; then
    nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
    if [ "$(id -u)" != 0 ] || ! $nobody test -x "$agent" -a -r "$0" 2>/dev/null; then
        echo "not root, or out of an ordinary user's reach: passed over"
        exit 77
    fi
    exec $nobody sh "$0"
fi

failures=0
unset CONSILIUM_IDENTITY
dir=$(mktemp -d "${TMPDIR:-/tmp}/consilium-system-XXXXXX")
chmod 755 "$dir"
mkdir "$dir/log" "$dir/pid" "$dir/sites" "$dir/data"

# ---- results -------------------------------------------------------------------------------------
# check NAME COMMAND...: one test. What the command printed is shown when it fails.
check() {
    check_name=$1
    shift
    if "$@" >"$dir/check.out" 2>&1; then
        echo "ok - $check_name"
    else
        failures=$((failures + 1))
        echo "not ok - $check_name"
        tail -n 30 "$dir/check.out" | sed 's/^/#   /'
    fi
}

# must COMMAND...: preparation, without which nothing below makes sense.
must() {
    "$@" >"$dir/must.out" 2>&1 || {
        echo "not ok - preparation: $*"
        sed 's/^/#   /' "$dir/must.out"
        failures=$((failures + 1))
        exit 1
    }
}

# within SECONDS COMMAND...: whether the command succeeds before the time is over: so many seconds on an idle machine,
# thrice that on a busy one.
within() {
    within_left=$(($1 * 30))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ $within_left -gt 0 ] || {
            echo "not within the time: $*"
            return 1
        }
        within_left=$((within_left - 1))
        sleep 0.1
    done
}

# refuses CODE TEXT COMMAND...: ends with that code and one short sentence that holds TEXT (a regular expression).
refuses() {
    refuses_code=$1 refuses_text=$2
    shift 2
    refuses_got=0
    "$@" >"$dir/refuses.out" 2>"$dir/refuses.err" || refuses_got=$?
    cat "$dir/refuses.out" "$dir/refuses.err"
    [ "$refuses_got" = "$refuses_code" ] || {
        echo "the exit code is $refuses_got, not $refuses_code"
        return 1
    }
    grep -qE "$refuses_text" "$dir/refuses.err" || {
        echo "the error does not say '$refuses_text'"
        return 1
    }
    [ "$(wc -l <"$dir/refuses.err")" -le 3 ] || {
        echo "the error is no clear sentence"
        return 1
    }
}

# figure FILE EXPRESSION: a Python expression over the JSON document r, printed.
figure() { python3 -c 'import json,sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
# holds FILE EXPRESSION: the same as a condition.
holds() {
    [ "$(figure "$1" "bool($2)")" = True ] || {
        echo "does not hold: $2"
        return 1
    }
}

# lie TEXT DROP-OR-CHANGE KIND ROUND [OLD NEW]: dir/audit with one entry left out or changed, signed anew by the
# coordinator's own key from end to end, is refused with TEXT.
lie() {
    lie_text=$1
    shift
    rm -rf "$dir/lie"
    cp -r "$dir/audit" "$dir/lie"
    python3 "$(dirname "$0")/rewrite_log.py" "$dir/lie" "$dir/consortium/coordinator/sign.key" "$@" &&
        refuses 1 "$lie_text" by consortium/operator audit verify "$dir/lie"
}

# ---- processes -----------------------------------------------------------------------------------
pid_of() { cat "$dir/pid/$1" 2>/dev/null || echo 0; }
# launch_process NAME COMMAND...: in the background; its log is log/NAME.
launch_process() {
    process=$1
    shift
    "$@" >>"$dir/log/$process" 2>&1 &
    echo $! >"$dir/pid/$process"
}
# end_process SIGNAL NAME: that process alone.
end_process() {
    ended=$(pid_of "$2")
    rm -f "$dir/pid/$2"
    [ "$ended" -gt 1 ] || return 0
    kill "-$1" "$ended" 2>/dev/null || true
    wait "$ended" 2>/dev/null || true
}
start_broker() {
    launch_process broker "$broker" -c "$dir/consortium/broker/mosquitto.conf"
    must within 10 broker_listens
}
broker_listens() { grep -qi ":$(printf '%04X' "$port") .* 0A " /proc/net/tcp /proc/net/tcp6; }
start_coordinator() { launch_process coordinator "$coordinator" --dir "$dir/consortium"; }
# start_site NAME [OPTION...]: agent and vault. A leak check at its end is among what the vault may not do.
start_site() {
    site=$1
    shift
    launch_process "$site" env ASAN_OPTIONS=detect_leaks=0 "$agent" run "$dir/sites/$site" "$@"
}
# The parts of a running site: its supervisor's children, told apart by what they run.
vault_pid() { pgrep -P "$(pid_of "$1")" -f consilium-vault; }
network_pid() { pgrep -P "$(pid_of "$1")" -f 'consilium-agent run'; }
# kill_part SITE vault|network: that process alone; waits until another one is there.
kill_part() {
    part=$("$2_pid" "$1") && kill -KILL "$part" && within 10 another_part "$1" "$2" "$part"
}
# freeze SITE, thaw SITE: its vault stands still, and goes on. A round waits for a frozen site up to its deadline.
freeze() { kill -STOP "$(vault_pid "$1")"; }
thaw() { kill -CONT "$(vault_pid "$1")"; }
another_part() { another=$("$2_pid" "$1") && [ "$another" != "$3" ]; }
# power_cut SITE: agent and vault at once, without a word.
power_cut() {
    children=$(pgrep -P "$(pid_of "$1")" || true)
    end_process KILL "$1"
    for child in $children; do
        kill -KILL "$child" 2>/dev/null || true
    done
}

# ---- the consortium ------------------------------------------------------------------------------
free_port() {
    try=0
    while [ $try -lt 50 ]; do
        port=$((20000 + ($$ * 37 + try * 211) % 12000))
        grep -qi ":$(printf '%04X' "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null || return 0
        try=$((try + 1))
    done
    echo "not ok - found no free port"
    exit 1
}

# enrol NAME ROLE FOLDER
enrol() {
    if [ "$2" = site ]; then
        "$agent" enrol "$3" --name "$1" && approve "$1" "$3" &&
            "$agent" enrol "$3" --install "$dir/consortium/bundles/$1.bundle" --yes
    else
        "$consilium" site request "$3" --name "$1" --role "$2" && approve "$1" "$3" &&
            "$consilium" site install "$3" "$dir/consortium/bundles/$1.bundle" --yes
    fi
}
approve() { "$consilium" site approve "$dir/consortium" "$2/$1.request" --yes; }

# patients FILE COUNT SEED SHIFT: made-up records; the outcome follows age, marker and sex, cases differ by SHIFT.
patients() {
    awk -v n="$2" -v seed="$3" -v shift="$4" '
        function uniform() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
        function normal(  i, s) { s = 0; for (i = 0; i < 12; i++) s += uniform(); return s - 6 }
        BEGIN {
            for (i = 0; i < 20; i++) uniform()
            print "patient_id,age,sex,marker,outcome"
            for (i = 1; i <= n; i++) {
                age = 60 + 12 * normal(); if (age < 20) age = 20; if (age > 95) age = 95
                sex = uniform() < 0.5
                marker = 5 + 2 * normal(); if (marker < 0) marker = 0
                z = shift + 1.2 * (age - 60) / 12 + 1.5 * (marker - 5) / 2 + 0.5 * (sex - 0.5)
                printf "P%05d,%.1f,%d,%.2f,%s\n", i, age, sex, marker, uniform() < 1 / (1 + exp(-z)) ? "yes" : "no"
            }
        }' >"$1"
}

# policy NAME [LINE...]: the site's policy; later lines of the same key win.
policy() {
    policy_site=$1
    shift
    {
        cat <<END
version: 1
decision: allow
researchers: [ada]
privacy_required: false
epsilon_per_study: 8
epsilon_per_year: 40
epsilon_total: 80
delta: 1.0e-5
min_patients: 50
END
    } >"$dir/policy.new"
    for line in "$@"; do
        sed -i "/^${line%%:*}:/d" "$dir/policy.new"
        echo "$line" >>"$dir/policy.new"
    done
    mv "$dir/policy.new" "$dir/sites/$policy_site/policy.yaml"
}

# holdout_key SITE-FOLDER SEED: the secret by which the site would draw its holdout itself, so that every run of a test
# judges on the same patients.
holdout_key() {
    mkdir -m 700 "$1/vault"
    (umask 077 && printf '%032d' "$2" >"$1/vault/holdout.key")
}

# add_site NAME SEED SHIFT [PATIENTS]: enrolled, with data, mapping and a permissive policy; not started.
add_site() {
    must enrol "$1" site "$dir/sites/$1"
    must holdout_key "$dir/sites/$1" "$2"
    mkdir "$dir/sites/$1/data"
    patients "$dir/sites/$1/data/records.csv" "${4:-200}" "$2" "$3"
    printf 'version: 1\ndata: records.csv\ndeclared_patients: %d\n' "${4:-200}" >"$dir/sites/$1/mapping.yaml"
    policy "$1"
}

# open_consortium: the authority, broker and coordinator running, a researcher "ada".
open_consortium() {
    free_port
    must "$consilium" init "$dir/consortium" --name trial --host 127.0.0.1 --port "$port"
    must enrol ada researcher "$dir/ada"
    start_broker
    start_coordinator
}

# plan NAME "SITES" ROUNDS [LINE...]: dir/NAME.yaml. A line "section.key: value" replaces that key of the section, "-" drops it.
plan() {
    plan_file=$dir/$1.yaml
    cat >"$plan_file" <<END
version: 1
study: $1
title: Outcome after a made-up disease
purpose: Try the federation
sites: [$2]
patient_id: patient_id
label: {column: outcome, type: binary, levels: ["no", "yes"]}
features:
  - {name: age, type: number, unit: years, range: [0, 110], centre: 60, spread: 12, missing: refuse}
  - {name: sex, type: flag}
  - {name: marker, type: number, unit: mg/l, range: [0, 50], centre: 5, spread: 2, missing: refuse}
model: {kind: logistic}
training:
  rounds: $3
  steps: 2
  learning_rate: 0.5
  seed: 7
privacy:
  mode: patient
  epsilon: 2.0
  delta: 1.0e-5
  clip_norm: 1.0
compression: eden-4
aggregation:
  rule: trimmed-mean
  byzantine: 0
  weights: patients
  max_share: 0.6
  quorum: 2
  deadline_s: 6
validation:
  every: 5
  holdout: 0.25
END
    shift 3
    for line in "$@"; do
        section=${line%%.*} rest=${line#*.}
        key=${rest%%:*} value=${rest#*: }
        awk -v section="$section" -v key="$key" -v value="$value" '
            /^[a-z_]+:/ { here = ($0 ~ "^" section ":") }
            here && $0 ~ "^  " key ":" && value == "-" { next }
            here && $0 ~ "^  " key ":" { $0 = "  " key ": " value }
            { print }' "$plan_file" >"$plan_file.new"
        mv "$plan_file.new" "$plan_file"
    done
}

# by WHO COMMAND...: a command of that user, say the researcher "ada", never longer than 90 s.
by() {
    by_who=$dir/$1
    shift
    CONSILIUM_IDENTITY=$by_who timeout 90 "$consilium" "$@"
}
# phase STUDY PHASE...: whether the study is in one of them.
phase() {
    phase_study=$1
    shift
    by ada status "$phase_study" --json >"$dir/status.json" 2>/dev/null || return 1
    phase_is=$(figure "$dir/status.json" "r['studies'][0]['phase']")
    for phase_wanted in "$@"; do
        [ "$phase_is" != "$phase_wanted" ] || return 0
    done
    echo "study $phase_study is $phase_is"
    return 1
}
# past STUDY N: whether that many tasks (rounds and evaluations) are completed, by the coordinator's log.
past() { [ "$(grep -c "study $1 task [0-9]*: task-completed" "$dir/log/coordinator")" -ge "$2" ]; }
over() { grep -q "study $1 task [0-9]*: finished" "$dir/log/coordinator"; }
# finish STUDY SECONDS: waits for its end and fetches the report into dir/STUDY/.
finish() {
    within "$2" over "$1" && phase "$1" finished || {
        by ada status "$1"
        return 1
    }
    by ada report "$1" --out "$dir/$1"
}

# ---- the end -------------------------------------------------------------------------------------
no_crash() {
    ! grep -lE 'AddressSanitizer|LeakSanitizer|runtime error:|Assertion .* failed|dumped core' "$dir"/log/* "$dir"/*.err \
        2>/dev/null || {
        grep -hE -A 12 'AddressSanitizer|LeakSanitizer|runtime error:|Assertion' "$dir"/log/* "$dir"/*.err | head -n 40
        return 1
    }
}
stop_all() {
    for file in "$dir"/pid/*; do
        [ -r "$file" ] || continue
        kill "$(cat "$file")" 2>/dev/null || true
    done
    for file in "$dir"/pid/*; do
        [ -r "$file" ] || continue
        number=$(cat "$file")
        left=100
        while kill -0 "$number" 2>/dev/null && [ $left -gt 0 ]; do
            sleep 0.1
            left=$((left - 1))
        done
        kill -KILL "$number" 2>/dev/null || true
        rm -f "$file"
    done
}
close_all() {
    code=$?
    trap - EXIT
    stop_all
    check "no process crashed or broke a sanitizer's rule" no_crash
    if [ $failures -gt 0 ]; then
        for file in "$dir"/log/*; do
            echo "# ${file##*/}:"
            tail -n 12 "$file" | sed 's/^/#   /'
        done
    fi
    [ -n "${CONSILIUM_KEEP:-}" ] || rm -rf "$dir"
    [ $code = 0 ] && [ $failures = 0 ] || exit 1
    exit 0
}
trap close_all EXIT
trap 'exit 130' INT TERM
