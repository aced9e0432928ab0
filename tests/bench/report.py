# SPDX-License-Identifier: Apache-2.0
#
# Reads what a run of tests/bench/run recorded (lib/records.sh), prints the table, and writes the JSON, the table in
# Markdown and the picture.
import argparse
import json
import statistics
import sys

import circles
import dpdk_picture
import picture
import pipeline
import shaping_picture
import tables

# A side that reaches this share of a pair with nothing in between is held up by source and sink.
GENERATOR_SHARE = 0.9
# So is one whose processes have time left while no core has.
OWN_CORES_IDLE = 0.7
MACHINE_BUSY = 0.95
# More than that share of the machine used by nobody whom we know: the figures are disturbed.
OTHERS_SHARE = 0.1


def read_records(lines):
    records = [json.loads(line) for line in lines]
    of_kind = lambda kind: [{key: value for key, value in record.items() if key != "kind"}
                            for record in records if record["kind"] == kind]
    return {kind: of_kind(kind) for kind in (
        "run", "case", "bar", "sample", "side", "absent", "pipeline", "stalled", "rates")}


def known_cores(sample):
    cpu = sample["cpu"]
    return cpu["cores"] + cpu.get("source", 0) + cpu.get("sink", 0) + cpu.get("guests", 0)


def summary(taken):
    """Of the samples of one side of one case."""
    samples = circles.without_poor(taken)
    values = [sample["value"] for sample in samples]
    result = {"median": statistics.median(values), "min": min(values), "max": max(values), "samples": samples}
    limits = [sample["limit"] for sample in samples if "limit" in sample]
    if limits:
        result["limit"] = limits[0]
    circle = circles.summary(samples)
    if circle:
        result.update(circle=circle, left_out=len(taken) - len(samples))
    cpus = [sample["cpu"] for sample in samples if "cpu" in sample]
    if cpus:
        for name in ("cores", "machine_cores", "stolen"):
            result[name] = statistics.median(cpu[name] for cpu in cpus)
        if "source" in cpus[0] or cpus[0].get("guests"):
            result["other_cores"] = max(0.0, statistics.median(
                sample["cpu"]["machine_cores"] - known_cores(sample) for sample in samples))
    return result


def generator_limit(case, side, cores):
    """Why the traffic's source and sink, and not this side, set the figure; None when they do not."""
    result = case["sides"][side]
    direct = case["sides"].get("direct")
    if side == "direct" or "other_cores" not in result:
        return None
    if direct and result["median"] >= GENERATOR_SHARE * direct["median"]:
        return "source and sink: %.2f of what they do with nothing in between" % (result["median"] / direct["median"])
    if (result["samples"][0]["cpu"]["processes"] and result["cores"] < OWN_CORES_IDLE
            and result["other_cores"] < OTHERS_SHARE * cores and result["machine_cores"] >= MACHINE_BUSY * cores):
        return "source and sink: the side uses %.2f of a core, the machine %.1f of %d" % (
            result["cores"], result["machine_cores"], cores)
    return None


def judge(bar, sides):
    """Adds to a bar what was reached, and whether that is enough: None when one side is missing, or says nothing."""
    own, other = (None if name in sides and sides[name].get("circle", {}).get("poor") else sides.get(name)
                  for name in (bar["side"], bar.get("of")))
    verdict = dict(bar, ratio=None, met=None)
    if own is None or ("of" in bar and other is None):
        return verdict
    if "limit" in bar:
        return dict(verdict, met=own["median"] < bar["limit"])
    if "floor" in bar:
        return dict(verdict, met=own["median"] >= bar["floor"])
    if "near" in bar:
        return dict(verdict, met=abs(own["median"] - bar["near"]) <= bar["within"])
    verdict["ratio"] = own["median"] / other["median"] if other["median"] else None
    verdict["difference"] = own["median"] - other["median"]
    if "at_least" in bar:
        verdict["met"] = own["median"] >= bar["at_least"] * other["median"]
    else:
        verdict["met"] = own["median"] <= bar["at_most"] * other["median"] + bar["plus"]
    return verdict


def evaluate_case(case, records, run):
    of_case = [sample for sample in records["sample"] if sample["case"] == case["name"]]
    names = list(dict.fromkeys(sample["side"] for sample in of_case))
    case = dict(case, sides={})
    for name in names:
        case["sides"][name] = summary([
            {key: value for key, value in sample.items() if key not in ("case", "side")}
            for sample in of_case if sample["side"] == name])
    for name in names if not run["smoke"] else []:
        limit = generator_limit(case, name, run["cores"])
        if limit:
            case["sides"][name]["limit"] = limit
        if case["sides"][name].get("circle"):
            continue  # what others took was left out, slice by slice
        others = case["sides"][name].get("other_cores", 0)
        if others > OTHERS_SHARE * run["cores"]:
            case["sides"][name]["disturbed"] = "others used %.1f cores" % others
    case["bars"] = [judge({key: value for key, value in bar.items() if key != "case"}, case["sides"])
                    for bar in records["bar"] if bar["case"] == case["name"]]
    return case


def evaluate(records):
    run = records["run"][0]
    circles.settle(records["sample"])
    return {
        "run": run,
        "cases": [evaluate_case(case, records, run) for case in records["case"]],
        "sides": records["side"],
        "absent": records["absent"],
        "stalled_samples": len(records["stalled"]),
        "pipeline": pipeline.judge(records["pipeline"][0]["data"] if records["pipeline"] else None),
        "rates": records["rates"][0] if records["rates"] else None,
    }


def main():
    parser = argparse.ArgumentParser()
    for option in ("--json", "--markdown", "--png", "--shaping-png", "--dpdk-png"):
        parser.add_argument(option)
    options = parser.parse_args()
    results = evaluate(read_records(sys.stdin))
    sys.stdout.write(tables.text(results))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1, ensure_ascii=False)
            file.write("\n")
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as file:
            file.write(tables.markdown(results))
    if options.png:
        picture.draw(results, options.png)
    if options.shaping_png:
        shaping_picture.draw(results, options.shaping_png)
    if options.dpdk_png:
        dpdk_picture.draw(results, options.dpdk_png)


main()
