#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every attack of the gallery against one plan under several rules, by consilium simulate.

For each hostile site: the AUROC over the holdouts of the honest sites (their figures weighted by
their declared patients) of the model that is trained with the hostile site, less that of the weighted
mean of the honest sites alone. Models are judged after the last round: no round is picked."""
import argparse, json, os, re, subprocess, tempfile


def variant(text, changes):
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, count=1, flags=re.M)
        if count != 1:
            raise SystemExit(f"the plan has no line like {pattern}")
    return text


def run(options, text, attack, hostile, folder):
    plan = os.path.join(folder, "plan.yaml")
    with open(plan, "w") as file:
        file.write(text)
    command = [options.consilium, "simulate", "--plan", plan, "--data", options.data, "--json"]
    if attack:
        command += ["--attack", attack, "--hostile", hostile]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return None


def auroc(report, sites):
    rows = [s for s in (report or {}).get("sites", []) if s["name"] in sites and s.get("auroc") is not None]
    if len(rows) < len(sites):
        return None
    return sum(s["auroc"] * s["patients"] for s in rows) / sum(s["patients"] for s in rows)


def mean(values):
    values = [v for v in values if v is not None]
    return sum(values) / len(values) if values else None


def shown(value):
    return "-" if value is None else f"{value:+.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("plan")
    parser.add_argument("data")
    parser.add_argument("--consilium", default="build/coordinator/cli/consilium")
    parser.add_argument("--rules", default="nnm+trimmed-mean,trimmed-mean,weighted-mean")
    parser.add_argument("--hostile", help="sites, by commas (default: every site in turn)")
    parser.add_argument("--attacks", help="names, by commas (default: the gallery)")
    parser.add_argument("--epsilon", help="instead of the plan's")
    parser.add_argument("--max-share", default="0.3", help="of the largest site's weight, under robust rules")
    parser.add_argument("--repeat", type=int, default=1, help="runs to average, with privacy noise")
    options = parser.parse_args()

    text = open(options.plan).read()
    sites = [s.strip() for s in re.search(r"^sites: *\[(.*)\]", text, re.M).group(1).split(",")]
    rounds = re.search(r"^ *rounds: *(\d+)", text, re.M).group(1)
    changes = [(r"^( *every:).*", rf"\1 {rounds}")]
    if options.epsilon:
        changes.append((r"^( *epsilon:).*", rf"\1 {options.epsilon}"))
    text = variant(text, changes)
    text = re.sub(r"^ *byzantine:.*\n", "", text, flags=re.M)
    gallery = subprocess.run([options.consilium, "simulate", "--attack", "list", "--json"],
                             stdout=subprocess.PIPE, text=True, check=True)
    attacks = options.attacks.split(",") if options.attacks else [a["name"] for a in json.loads(gallery.stdout)]
    hostiles = options.hostile.split(",") if options.hostile else sites
    rules = options.rules.split(",")

    with tempfile.TemporaryDirectory() as folder:
        base = {}
        for hostile in hostiles:
            honest = [s for s in sites if s != hostile]
            alone = variant(text, [(r"^sites:.*", f"sites: [{', '.join(honest)}]"),
                                   (r"^( *rule:).*", r"\1 weighted-mean")])
            base[hostile] = mean([auroc(run(options, alone, None, None, folder), honest)
                                  for _ in range(options.repeat)])
            print(f"honest without {hostile}: AUROC {base[hostile]:.4f}", flush=True)
        print("| attack | " + " | ".join(f"{r}: worst loss (lowest AUROC, all five holdouts)" for r in rules) + " |")
        print("|---" * (len(rules) + 1) + "|", flush=True)
        worst = {rule: None for rule in rules}
        for attack in [None] + attacks:
            cells = []
            for rule in rules:
                changes = [(r"^( *)rule:.*", rf"\1rule: {rule}\n\1byzantine: 1")]
                if rule != "weighted-mean":
                    changes.append((r"^( *max_share:).*", rf"\1 {options.max_share}"))
                plan = variant(text, changes)
                loss, lowest = None, None
                for hostile in hostiles:
                    honest = [s for s in sites if s != hostile]
                    reports = [run(options, plan, attack, hostile, folder) for _ in range(options.repeat)]
                    at_honest = mean([auroc(r, honest) for r in reports])
                    pooled = mean([auroc(r, sites) for r in reports])
                    if at_honest is not None:
                        lost = base[hostile] - at_honest
                        loss = lost if loss is None else max(loss, lost)
                    if pooled is not None:
                        lowest = pooled if lowest is None else min(lowest, pooled)
                if attack and loss is not None:
                    worst[rule] = loss if worst[rule] is None else max(worst[rule], loss)
                cells.append(f"{shown(loss)} ({'-' if lowest is None else f'{lowest:.4f}'})")
            print(f"| {attack or 'none'} | " + " | ".join(cells) + " |", flush=True)
        print("| worst | " + " | ".join(shown(worst[r]) for r in rules) + " |")


if __name__ == "__main__":
    main()
