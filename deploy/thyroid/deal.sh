#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Deals the 7,200 thyroid patients of Debian's libfann-doc over five made-up hospitals of unequal size and
# shifted case mix, one CSV each. The patients are real; this split is ours and always the same.
# usage: deal.sh OUT_DIR   (fetches the package with apt-get download)
set -eu

out=${1:?usage: deal.sh OUT_DIR}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

if ! (cd "$work" && apt-get download libfann-doc) >"$work/log" 2>&1; then
    # the package lists may be missing on a new machine
    if [ "$(id -u)" = 0 ]; then apt-get update >"$work/log" 2>&1 || true; fi
    (cd "$work" && apt-get download libfann-doc) >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        echo "The package libfann-doc could not be fetched. Put it in $out by hand, or give --data." >&2
        exit 1
    }
fi
dpkg-deb -x "$work"/libfann-doc_*.deb "$work/x"
sets=$work/x/usr/share/doc/libfann-dev/examples/datasets

# Each file: a line "patients inputs outputs", then per patient a line of inputs and a line of outputs.
cat "$sets/thyroid.train" "$sets/thyroid.test" | awk -v out="$out" '
    BEGIN {
        n = split("north south east west coast", name, " ")
        split("2600 1800 1300 900 600", size, " ")   # expected share of the patients
        split("0.6 -0.4 0.0 -0.8 0.5", older, " ")   # pull of age
        split("0.3 -0.2 0.5 -0.4 0.0", ill, " ")     # pull of disease
        header = "patient_id,age,sex,on_thyroxine,query_on_thyroxine,antithyroid_drug,sick,pregnant," \
            "thyroid_surgery,i131,query_hypothyroid,query_hyperthyroid,lithium,goitre,tumour," \
            "hypopituitary,psych,tsh,t3,tt4,t4u,fti,age_band,diagnosis"
        for (h = 1; h <= n; h++) print header > (out "/" name[h] ".csv")
        random = 20240
    }
    function uniform() { random = (random * 16807) % 2147483647; return random / 2147483647 }
    NF == 3 && $2 == 21 { next }
    NF == 21 { for (i = 1; i <= 21; i++) x[i] = $i; next }
    NF == 3 {
        diagnosis = $1 == 1 ? "primary" : $2 == 1 ? "compensated" : "normal"
        total = 0
        for (h = 1; h <= n; h++) {
            pull[h] = size[h] * exp(older[h] * (x[1] - 0.52) / 0.19 + ill[h] * (diagnosis != "normal"))
            total += pull[h]
        }
        u = uniform() * total
        for (h = 1; h < n && u >= pull[h]; h++) u -= pull[h]
        age = x[1] * 100
        band = age < 40 ? "<40" : age < 60 ? "40-59" : age < 75 ? "60-74" : "75+"
        row = sprintf("T%05d,%d", ++patients, age)
        for (i = 2; i <= 16; i++) row = row "," (x[i] > 0.5 ? 1 : 0)
        for (i = 17; i <= 21; i++) row = row "," x[i] * 1000
        print row "," band "," diagnosis > (out "/" name[h] ".csv")
    }
    END {
        if (patients != 7200) { print "expected 7200 patients, found " patients > "/dev/stderr"; exit 1 }
    }'
