#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every table of docs/evidence.md about attacks on stroke, brain injury and heart, in one go.
#
# usage: gallery.sh CONSILIUM DATA [TABLE]...
#
# DATA holds stroke/encoded, tbi/encoded and heart/encoded. Tables: stroke, stroke-2, stroke-folds, stroke-draws, tbi,
# tbi-2, tbi-draws, tbi-rules, heart, heart-2, heart-rules, codecs; all of them by default. Each is printed as it is
# made. bench_hostile is taken from the build folder of CONSILIUM.
set -eu
[ $# -ge 2 ] || { sed -n '3,10s/^# \{0,1\}//p' "$0"; exit 2; }
consilium=$1
data=$2
shift 2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
plans=$here/../../deploy/plans

hostile() # NAME PLAN KEY=VALUE...
{
    printf '\n== %s %s\n' "$1" "$*"
    plan=$plans/$2.yaml
    folder=$data/${1%%-*}/encoded
    shift 2
    "$(dirname "$consilium")/../../tests/bench/bench_hostile" "$plan" "$folder" "$@"
}

attacks() # NAME PLAN OPTIONS...
{
    printf '\n== %s\n' "$1"
    plan=$plans/$2.yaml
    folder=$data/${1%%-*}/encoded
    shift 2
    python3 -u "$here/attacks.py" "$plan" "$folder" --consilium "$consilium" "$@"
}

robust="rule=nnm+trimmed-mean byzantine=1 max_share=0.2"
mean="rule=weighted-mean byzantine=0"
tbi="--hostile peg,skb --max-share 0.1"
heart="--hostile cleveland,switzerland --max-share 0.25"

one()
{
    # shellcheck disable=SC2086 # options are words
    case $1 in
    stroke)
        for fold in 0 1 2 3 4; do
            hostile stroke stroke-robust fold=$fold privacy=none rounds=12 rate=2 l2=0.01
            hostile stroke stroke-encoded fold=$fold $robust attacks=sign-flip,ipm,min-sum,free-rider
        done
        ;;
    stroke-2)
        hostile stroke-2 stroke-robust draws=20 honest_draws=40
        hostile stroke-2 stroke-robust $mean honest_draws=10
        ;;
    stroke-folds)
        for fold in 0 1 2 3 4; do
            hostile stroke-folds stroke-robust fold=$fold draws=20 honest_draws=20 attacks=min-sum,min-max,alie,ipm,sign-flip
            hostile stroke-folds stroke-private fold=$fold epsilon=2 $robust draws=10 honest_draws=20 attacks=min-sum,min-max
        done
        ;;
    stroke-draws) attacks stroke-draws stroke-robust --rules nnm+trimmed-mean --max-share 0.2 --hostile switzerland --attacks min-sum,sign-flip --repeat 4 --honest-repeat 6 --each ;;
    tbi) attacks tbi tbi $tbi --rules nnm+trimmed-mean ;;
    tbi-2) attacks tbi-2 tbi-private --epsilon 2 $tbi --rules nnm+trimmed-mean ;;
    tbi-draws) attacks tbi-draws tbi-private --epsilon 2 $tbi --rules nnm+trimmed-mean --attacks min-max,min-sum,scale,sign-flip --repeat 4 --each ;;
    tbi-rules)
        attacks tbi-rules tbi-private --epsilon 2 $tbi --rules nnm+trimmed-mean,caf,trimmed-mean,nnm+geomedian --attacks min-max,min-sum --repeat 3 --each
        hostile tbi-rules tbi-private epsilon=2 rule=nnm+trimmed-mean byzantine=1 max_share=0.1 hostile=peg draws=5 honest_draws=10 attacks=min-max,min-sum
        hostile tbi-rules tbi-private epsilon=2 rule=nnm+trimmed-mean byzantine=1 max_share=0.1 hostile=peg draws=5 honest_draws=10 attacks=min-max,min-sum site_momentum=0.9
        hostile tbi-rules tbi-private epsilon=2 rule=nnm+trimmed-mean byzantine=1 max_share=0.1 hostile=peg draws=5 honest_draws=10 attacks=min-max,min-sum rounds=6 rate=4
        ;;
    heart) attacks heart heart $heart --rules nnm+trimmed-mean,weighted-mean ;;
    heart-2) attacks heart-2 heart --private-as "$plans/stroke-private.yaml" --epsilon 2 $heart --rules nnm+trimmed-mean --repeat 4 --each ;;
    heart-rules) attacks heart-rules heart $heart --rules nnm+trimmed-mean,caf,trimmed-mean,nnm+geomedian,arc+nnm+trimmed-mean --attacks sign-flip,label-flip,ipm,min-max,nan --each ;;
    codecs)
        printf '\n== codecs\n'
        python3 -u "$here/codecs.py" "$consilium" "$plans/stroke-encoded.yaml" "$data/stroke/encoded"
        ;;
    *)
        echo "there is no table $1" >&2
        exit 2
        ;;
    esac
}

[ $# -gt 0 ] || set -- stroke stroke-2 stroke-folds stroke-draws tbi tbi-2 tbi-draws tbi-rules heart heart-2 heart-rules codecs
for table in "$@"; do
    one "$table"
done
