#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One plan under every codec, all sites honest, by consilium simulate: AUROC of the pooled holdouts and bytes.

usage: codecs.py CONSILIUM PLAN FOLDER [HIDDEN [CODEC...]]

With HIDDEN above 0 the plan's logistic model becomes a network of so many hidden units, for updates longer than a block.
The best and the last round are shown. Bytes are those on the wire of one update; and of the best model to one
site, packed in byte planes, and what it would take unpacked."""
import json, os, re, subprocess, sys, tempfile

CODECS = ["none", "bf16", "int8b", "eden-1", "eden-2", "eden-3", "eden-4", "eden-8", "randk-shared:0.25", "topk-ef:0.25"]


def shown(value):
    return "-" if value is None else f"{value:.4f}"


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    consilium, plan, folder = sys.argv[1:4]
    text = open(plan).read()
    if len(sys.argv) > 4 and sys.argv[4] != "0":
        text = re.sub(r"(?m)^model:.*", f"model: {{kind: mlp, hidden: [{sys.argv[4]}]}}", text)
    print("| codec | AUROC, best round | last round | bytes of an update | of the model, packed | unpacked |\n"
          "|---|---|---|---|---|---|", flush=True)
    for codec in sys.argv[5:] or CODECS:
        with tempfile.TemporaryDirectory() as out:
            with open(out + "/plan.yaml", "w") as file:
                file.write(re.sub(r"(?m)^compression:.*", f"compression: {codec}", text))
            done = subprocess.run([consilium, "simulate", "--plan", out + "/plan.yaml", "--data", folder, "--out", out],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0 or not os.path.exists(out + "/report.json"):
                print(f"| {codec} | - | {done.stderr.strip()} | |", flush=True)
                continue
            with open(out + "/report.json") as file:
                report = json.load(file)
            rounds = [r["auroc"] for r in report["rounds"] if r.get("auroc") is not None]
            print(f"| {codec} | {shown(report['pooled']['auroc'])} | {shown(rounds[-1] if rounds else None)} | "
                  f"{report['bytes_per_update']} | {report['bytes_per_model']} | "
                  f"{report['bytes_per_model_unpacked']} |", flush=True)


if __name__ == "__main__":
    main()
