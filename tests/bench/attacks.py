#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every attack of the gallery against one plan under several rules, by consilium simulate.

For each hostile site: the AUROC over the held-out fold of the honest sites (each site's own, weighted by
its held-out patients; sites with one class only are left out) of the model that is trained with the hostile site, less that of the weighted
mean of the honest sites alone. Models are judged after the last round: no round is picked. With --repeat
the loss is the mean of so many draws of the noise, and the largest loss of a single draw follows.

The backdoor sets the first column to a trigger of four spreads. Its line also shows what the trigger does at the
honest sites: the share of their held-out negative rows that it lifts over the score which four fifths of the
site's negative rows stay below, under attack, and with everybody honest."""
import argparse, csv, json, os, re, subprocess, tempfile


def variant(text, changes):
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, count=1, flags=re.M)
        if count != 1:
            raise SystemExit(f"the plan has no line like {pattern}")
    return text


def run(options, text, attack, hostile, folder):
    """The linear model after the last round, or None where there is none."""
    plan, model = os.path.join(folder, "plan.yaml"), os.path.join(folder, "model.json")
    with open(plan, "w") as file:
        file.write(text)
    if os.path.exists(model):
        os.remove(model)
    command = [options.consilium, "simulate", "--plan", plan, "--data", options.data, "--out", folder]
    if attack:
        command += ["--attack", attack, "--hostile", hostile]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not os.path.exists(model):
        return None
    with open(model) as file:
        loaded = json.load(file)
    return loaded if loaded["round"] > 0 else None


def held_out(options, text, sites):
    """{site: rows} of the plan's fold."""
    column = re.search(r"^ *fold_column: *(\S+)", text, re.M).group(1)
    value = re.search(r"^ *fold_value: *(\S+)", text, re.M).group(1).strip('"')
    rows = {}
    for site in sites:
        with open(os.path.join(options.data, site + ".csv")) as file:
            rows[site] = [r for r in csv.DictReader(file) if r[column] == value]
    return rows


def area(labels, scores):
    """Mann-Whitney with midranks; None for one class."""
    order = sorted(zip(scores, labels))
    positives, ranks, i = sum(labels), 0.0, 0
    if positives in (0, len(labels)):
        return None
    while i < len(order):
        j = i
        while j < len(order) and order[j][0] == order[i][0]:
            j += 1
        ranks += sum(label for _, label in order[i:j]) * (i + j + 1) / 2
        i = j
    return (ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def score(model, row):
    """Without the intercept, which ranks nothing within a site."""
    z = 0.0
    for weight, column in zip((v for t in model["tensors"] for v in t["values"]), model["inputs"]):
        cell = row[column["feature"]]
        value = float(cell == column["equals"]) if "equals" in column else float(cell)
        z += weight * (value - column["centre"]) / column["spread"]
    return z


TRIGGER = 4.0  # spreads, as agent/local_data.c plants it
SPECIFICITY = 0.8


def lifted(model, rows, sites):
    """Share of negative rows that the trigger in the first column lifts over their site's threshold."""
    over, patients = 0, 0
    weight, first = model["tensors"][0]["values"][0], model["inputs"][0]
    for site in sites:
        scores = []
        for row in (r for r in rows[site] if r[model["label"]] == model["classes"][0]):
            cell = row[first["feature"]]
            value = float(cell == first["equals"]) if "equals" in first else float(cell)
            plain = score(model, row)
            scores.append((plain, plain + weight * (TRIGGER - (value - first["centre"]) / first["spread"])))
        if scores:
            threshold = sorted(plain for plain, _ in scores)[min(len(scores) - 1, int(SPECIFICITY * len(scores)))]
            over += sum(triggered > threshold for _, triggered in scores)
            patients += len(scores)
    return over / patients if patients else None


def private_as(text, path):
    """The plan with another plan's sections on training and privacy, and its compression."""
    other = open(path).read()
    for section in ("training", "privacy", "compression"):
        pattern = rf"(?m)^{section}:.*\n(?:[ ]+.*\n)*"
        text = re.sub(pattern, lambda _: re.search(pattern, other).group(0), text, count=1)
    return text


def auroc(model, rows, sites):
    total, patients = 0.0, 0
    for site in sites if model else []:
        kept = [r for r in rows[site] if r[model["label"]] != ""]
        value = area([int(r[model["label"]] == model["classes"][1]) for r in kept], [score(model, r) for r in kept])
        if value is not None:
            total += value * len(kept)
            patients += len(kept)
    return total / patients if patients else None


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
    parser.add_argument("--fold", help="instead of the plan's")
    parser.add_argument("--max-share", default="0.3", help="of the largest site's weight, under robust rules")
    parser.add_argument("--repeat", type=int, default=1, help="runs to average, with privacy noise")
    parser.add_argument("--honest-repeat", type=int, help="the same for the honest sites alone (default: --repeat)")
    parser.add_argument("--private-as", help="a plan whose training, privacy and compression are taken")
    parser.add_argument("--byzantine", default="1", help="f of the robust rules")
    parser.add_argument("--momentum", help="site_momentum under robust rules")
    parser.add_argument("--each", action="store_true", help="the loss for each hostile site, too")
    options = parser.parse_args()

    text = open(options.plan).read()
    if options.private_as:
        text = private_as(text, options.private_as)
    sites = [s.strip() for s in re.search(r"^sites: *\[(.*)\]", text, re.M).group(1).split(",")]
    rounds = re.search(r"^ *rounds: *(\d+)", text, re.M).group(1)
    changes = [(r"^( *every:).*", rf"\1 {rounds}")]
    if options.epsilon:
        changes.append((r"^( *epsilon:).*", rf"\1 {options.epsilon}"))
    if options.fold:
        changes.append((r"^( *fold_value:).*", rf'\1 "{options.fold}"'))
    text = variant(text, changes)
    text = re.sub(r"^ *byzantine:.*\n", "", text, flags=re.M)
    gallery = subprocess.run([options.consilium, "simulate", "--attack", "list", "--json"],
                             stdout=subprocess.PIPE, text=True, check=True)
    attacks = options.attacks.split(",") if options.attacks else [a["name"] for a in json.loads(gallery.stdout)]
    hostiles = options.hostile.split(",") if options.hostile else sites
    rules = options.rules.split(",")

    rows = held_out(options, text, sites)

    with tempfile.TemporaryDirectory() as folder:
        base = {}
        for hostile in hostiles:
            honest = [s for s in sites if s != hostile]
            alone = variant(text, [(r"^sites:.*", f"sites: [{', '.join(honest)}]"),
                                   (r"^( *rule:).*", r"\1 weighted-mean")])
            base[hostile] = mean([auroc(run(options, alone, None, None, folder), rows, honest)
                                  for _ in range(options.honest_repeat or options.repeat)])
            if base[hostile] is None:
                raise SystemExit(f"no model comes of the sites without {hostile}")
            print(f"honest without {hostile}: AUROC {base[hostile]:.4f}", flush=True)
        print("| attack | " + " | ".join(f"{r}: worst loss (lowest AUROC, all holdouts)" for r in rules) + " |")
        print("|---" * (len(rules) + 1) + "|", flush=True)
        worst, lifts = {rule: None for rule in rules}, {}
        for attack in [None] + attacks:
            cells = []
            for rule in rules:
                changes = [(r"^( *)rule:.*", rf"\1rule: {rule}\n\1byzantine: {options.byzantine}")]
                if rule != "weighted-mean":
                    changes.append((r"^( *max_share:).*", rf"\1 {options.max_share}"))
                    if options.momentum:
                        changes.append((r"^( *)rule:.*", rf"\g<0>\n\1site_momentum: {options.momentum}"))
                plan = variant(text, changes)
                loss, lowest, largest, each, backdoor = None, None, None, [], None
                for hostile in hostiles:
                    honest = [s for s in sites if s != hostile]
                    models = [run(options, plan, attack, hostile, folder) for _ in range(options.repeat)]
                    draws = [a for a in (auroc(r, rows, honest) for r in models) if a is not None]
                    at_honest = mean(draws)
                    pooled = mean([auroc(r, rows, sites) for r in models])
                    if attack in (None, "backdoor"):
                        lifts[rule, hostile, attack] = mean([lifted(m, rows, honest) for m in models if m])
                    if attack == "backdoor" and at_honest is not None:
                        pair = lifts[rule, hostile, attack], lifts.get((rule, hostile, None))
                        backdoor = max(backdoor or pair, pair)
                    if at_honest is not None:
                        alone = f" ({shown(base[hostile] - min(draws))})" if options.repeat > 1 else ""
                        each.append(f"{hostile} {shown(base[hostile] - at_honest)}{alone}")
                        lost = base[hostile] - at_honest
                        loss = lost if loss is None else max(loss, lost)
                        lost = base[hostile] - min(draws)
                        largest = lost if largest is None else max(largest, lost)
                    if pooled is not None:
                        lowest = pooled if lowest is None else min(lowest, pooled)
                if attack and loss is not None:
                    worst[rule] = loss if worst[rule] is None else max(worst[rule], loss)
                single = f", single draw {shown(largest)}" if options.repeat > 1 else ""
                if options.each:
                    single += ": " + ", ".join(each)
                if backdoor:
                    single += f", trigger lifts {backdoor[0]:.3f} (all honest {backdoor[1]:.3f})"
                cells.append(f"{shown(loss)}{single} ({'-' if lowest is None else f'{lowest:.4f}'})")
            print(f"| {attack or 'none'} | " + " | ".join(cells) + " |", flush=True)
        print("| worst | " + " | ".join(shown(worst[r]) for r in rules) + " |")


if __name__ == "__main__":
    main()
