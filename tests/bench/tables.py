# SPDX-License-Identifier: Apache-2.0
#
# The results of a benchmark (report.py) as text and as Markdown.

SIDES = {
    "switch": "vswitch",
    "loop": "bare loop",
    "bridge": "kernel bridge",
    "ovs": "Open vSwitch, userspace",
    "vde": "vde_switch",
    "direct": "nothing in between",
}
# The upper limit is for those who read figures, not for a comparison.
MARKDOWN_SIDES = ["switch", "loop", "bridge", "ovs", "vde"]


def number(value):
    """Three digits are what a measurement holds."""
    if value >= 100:
        return "%.0f" % value
    if value >= 10:
        return "%.1f" % value
    return "%.2f" % value if value >= 0.1 else "%.3f" % value


def bar_demand(bar):
    if "limit" in bar:
        return "below %g" % bar["limit"]
    name = SIDES[bar["of"]]
    if "at_least" in bar:
        return "at least %g × %s" % (bar["at_least"], name)
    if bar["plus"]:
        return "at most %s + %g" % (name, bar["plus"])
    return "at most %g × %s" % (bar["at_most"], name)


def bar_verdict(bar):
    if bar["met"] is None:
        return "not measured"
    word = "met" if bar["met"] else "missed"
    if "limit" in bar:
        return word
    if bar.get("plus"):
        return "%+.1f, %s" % (bar["difference"], word)
    return "%.2f, %s" % (bar["ratio"], word)


def heading(run):
    lines = "%d rounds of %d s each, by turns; %d cores, %s, Linux %s; built by %s" % (
        run["rounds"], run["seconds"], run["cores"], run["machine"], run["kernel"], run["build"])
    if run["smoke"]:
        lines += "\nA smoke run: a moment each, to show that all of it works. Its figures say nothing."
    return lines


def text_case(case):
    lines = ["%s, %s (%s is better)" % (case["title"], case["unit"], case["better"])]
    if case["sides"]:
        lines.append("  %-24s %9s %9s %9s %7s %7s" % ("", "median", "min", "max", "ratio", "cores"))
    switch = case["sides"].get("switch")
    for name, side in case["sides"].items():
        ratio = "%.2f" % (switch["median"] / side["median"]) if switch and side["median"] and name != "switch" else ""
        cores = "%.2f" % side["cores"] if side.get("cores") else ""
        lines.append("  %-24s %9s %9s %9s %7s %7s" % (
            SIDES[name], number(side["median"]), number(side["min"]), number(side["max"]), ratio, cores))
    for name, side in case["sides"].items():
        for key, what in (("limit", "limited by"), ("disturbed", "disturbed:")):
            if key in side:
                lines.append("  %s %s %s" % (SIDES[name], what, side[key]))
    for bar in case["bars"]:
        lines.append("  bar: %s: %s" % (bar_demand(bar), bar_verdict(bar)))
    return "\n".join(lines)


def text(results):
    parts = [heading(results["run"]) + "\nratio: vswitch's median over that side's; cores: what its own processes used"]
    parts += [text_case(case) for case in results["cases"]]
    rows = pipeline_rows(results["pipeline"])
    if rows:
        parts.append("\n".join(["The pipeline alone, ns a packet"] + ["  %-40s %9s  %s" % row for row in rows]))
    missing = ["%s is not in %s: %s" % (SIDES[item["side"]], item["path"], item["reason"]) for item in results["absent"]]
    if missing:
        parts.append("\n".join(missing))
    bars = [bar for case in results["cases"] for bar in case["bars"]]
    parts.append("%d bars: %d met, %d missed, %d not measured" % (
        len(bars), *(sum(bar["met"] is value for bar in bars) for value in (True, False, None))))
    return "\n\n".join(parts) + "\n"


def cell(side):
    if side is None:
        return ""
    return "%s (%s–%s)" % (number(side["median"]), number(side["min"]), number(side["max"]))


def table_row(cells):
    return "| " + " | ".join(cells) + " |"


def markdown_case(case, sides):
    verdicts = ["%s: %s" % (bar_demand(bar), bar_verdict(bar)) for bar in case["bars"]]
    # What stands in the way of a figure belongs beside it.
    verdicts += ["%s: %s" % (SIDES[name], side["limit"]) for name, side in case["sides"].items()
                 if name in ("switch", "loop") and "limit" in side]
    return table_row(["%s, %s" % (case["title"], case["unit"])] + [cell(case["sides"].get(name)) for name in sides]
                     + ["; ".join(verdicts)])


def markdown(results):
    sides = [name for name in MARKDOWN_SIDES if any(name in case["sides"] for case in results["cases"])]
    lines = [table_row(["median (min–max)"] + [SIDES[name] for name in sides] + ["bar: reached"]),
             table_row(["---"] * (len(sides) + 2))]
    lines += [markdown_case(case, sides) for case in results["cases"] if case["bars"]]
    lines += [table_row(["the pipeline alone, %s, ns a packet" % what, value] + [""] * (len(sides) - 1) + [verdict])
              for what, value, verdict in pipeline_rows(results["pipeline"])]
    return "\n".join(lines) + "\n\n" + heading(results["run"]).replace("\n", " ") + ".\n"


def pipeline_rows(pipeline):
    """What pipeline_bench measured: (what, ns a packet, verdict)."""
    if not pipeline:
        return []
    return [(row["name"], number(row["ns"]), row.get("verdict", "")) for row in pipeline.get("rows", [])]
