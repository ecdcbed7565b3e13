#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One site of a plan flips its updates' sign: AUROC of all held-out patients in one list, over five folds.

usage: hostile_folds.py CONSILIUM PLAN FOLDER RULE...

Each of the five folds is held out in turn; the model that `consilium simulate` exports (the best round by the
sites' holdouts) scores the held-out rows of every site, and one AUROC is taken over all of them: the definition
of the pooled baseline. Needs FOLDER/SITE.csv with a column `fold` and a binary logistic plan.
"""
import csv
import json
import re
import subprocess
import sys
import tempfile


def variant(text, rule, fold):
    """The plan with another rule, equal shares, one hostile site expected, and this fold held out."""
    text = re.sub(r"(?m)^( *rule:).*", r"\1 " + rule, text)
    text = re.sub(r"(?m)^( *max_share:).*", r"\1 0.2", text)
    text = re.sub(r"(?m)^ *byzantine:.*\n", "", text)
    text = text.replace("aggregation:\n", "aggregation:\n  byzantine: 1\n", 1)
    return re.sub(r"fold_value:.*", 'fold_value: "%d"' % fold, text)


def auroc(labels, scores):
    """Mann-Whitney with midranks."""
    order = sorted(zip(scores, labels))
    positives, ranks, i = sum(labels), 0.0, 0
    while i < len(order):
        j = i
        while j < len(order) and order[j][0] == order[i][0]:
            j += 1
        ranks += sum(label for _, label in order[i:j]) * (i + j + 1) / 2
        i = j
    return (ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def score(model, row):
    tensors = [v for t in model["tensors"] for v in t["values"]]
    z = tensors[len(model["inputs"])]
    for weight, column in zip(tensors, model["inputs"]):
        cell = row[column["feature"]]
        value = float(cell == column["equals"]) if "equals" in column else float(cell)
        z += weight * (value - column["centre"]) / column["spread"]
    return z


def out_of_fold(program, plan, folder, sites, rows, rule, hostile):
    labels, scores = [], []
    for fold in range(5):
        with tempfile.TemporaryDirectory() as work:
            with open(work + "/plan.yaml", "w") as f:
                f.write(variant(plan, rule, fold))
            attack = ["--attack", "sign-flip", "--hostile", hostile] if hostile else []
            subprocess.run([program, "simulate", "--plan", work + "/plan.yaml", "--data", folder, *attack,
                            "--out", work], check=True, stdout=subprocess.DEVNULL)
            with open(work + "/model.json") as f:
                model = json.load(f)
        for site in sites:
            for row in rows[site]:
                if row["fold"] == str(fold) and row[model["label"]] != "":
                    labels.append(int(row[model["label"]] == model["classes"][1]))
                    scores.append(score(model, row))
    return auroc(labels, scores)


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    program, plan_path, folder = sys.argv[1:4]
    with open(plan_path) as f:
        plan = f.read()
    sites = re.search(r"(?m)^sites: *\[(.*)\]", plan).group(1).replace(" ", "").split(",")
    rows = {site: list(csv.DictReader(open("%s/%s.csv" % (folder, site)))) for site in sites}
    for rule in sys.argv[4:]:
        for hostile in [None] + sites:
            value = out_of_fold(program, plan, folder, sites, rows, rule, hostile)
            print("%-20s hostile %-12s %.4f" % (rule, hostile or "none", value), flush=True)


main()
