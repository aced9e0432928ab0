# SPDX-License-Identifier: Apache-2.0
#
# The results of a benchmark (report.py) as text and as Markdown.
import circles
import pipeline

SIDES = {
    "switch": "vswitch",
    "switch2": "vswitch, two workers",
    "loop": "bare loop",
    "bridge": "kernel bridge",
    "ovs": "Open vSwitch, userspace",
    "ovstso": "Open vSwitch, userspace TSO",
    "vde": "vde_switch",
    "direct": "nothing in between",
    "tbf": "kernel tbf",
    "htb": "kernel htb",
    "unshaped": "vswitch, unshaped",
    "one": "vswitch, one MAC",
    "unicast": "vswitch, unicast",
    "testpmd": "dpdk-testpmd macswap",
    "ovsdpdk": "Open vSwitch with DPDK",
    "ovsdpdktso": "the same, userspace TSO",
    "vmtap": "vswitch, guests by TAP",
    "tap": "vswitch, TAP to TAP",
}
# As the bars name them.
SHORT = {"switch": "one worker", "loop": "loop", "bridge": "bridge", "ovs": "Open vSwitch", "htb": "htb",
         "unshaped": "unshaped", "one": "one MAC", "unicast": "unicast", "testpmd": "testpmd",
         "ovsdpdk": "Open vSwitch", "vmtap": "guests by TAP"}
# The upper limit is for those who read figures, not for a comparison.
MARKDOWN_SIDES = ["switch", "switch2", "loop", "bridge", "ovs", "ovstso", "vde", "tbf", "htb", "unshaped", "one", "unicast",
                  "testpmd", "ovsdpdk", "ovsdpdktso", "vmtap", "tap"]


def number(value):
    """Three digits are what a measurement holds."""
    value = round(value, 3) + 0.0  # which has no sign where nothing is left
    size = abs(value)
    if size >= 100:
        return "%.0f" % value
    if size >= 10:
        return "%.1f" % value
    return "%.2f" % value if size >= 0.1 else "%.3f" % value


def bar_side(bar):
    return "" if bar["side"] == "switch" else "two workers "


def bar_demand(bar):
    if "limit" in bar:
        return "< %g" % bar["limit"]
    if "floor" in bar:
        return "≥ %g" % bar["floor"]
    if "near" in bar:
        return "%g ± %g" % (bar["near"], bar["within"])
    name = SHORT[bar["of"]]
    if "at_least" in bar:
        return "≥ %g × %s" % (bar["at_least"], name)
    if bar["plus"]:
        return "≤ %s + %g" % (name, bar["plus"])
    return "≤ %g × %s" % (bar["at_most"], name)


def bar_verdict(bar):
    if bar["met"] is None:
        return "not measured"
    word = "met" if bar["met"] else "missed"
    if bar["ratio"] is None:
        return word
    if bar.get("plus"):
        return "%+.1f, %s" % (bar["difference"], word)
    return "%.2f, %s" % (bar["ratio"], word)


def heading(run):
    lines = "%d rounds of %d s each, by turns; %d cores, %s, Linux %s; %s; %s" % (
        run["rounds"], run["seconds"], run["cores"], run["machine"], run["kernel"], run["build"], run["iperf3"])
    if run["smoke"]:
        lines += "\nA smoke run: a moment each, to show that all of it works. Its figures say nothing"
    return lines


def text_case(case):
    lines = ["%s, %s (%s is better)" % (case["title"], case["unit"], case["better"])]
    if case["sides"]:
        lines.append("  %-28s %9s %9s %9s %7s %7s" % ("", "median", "min", "max", "ratio", "cores"))
    # Of what lies on both sides of 0 a ratio says nothing.
    switch = case["sides"].get("switch") if case["better"] in ("more", "less") else None
    for name, side in case["sides"].items():
        ratio = "%.2f" % (switch["median"] / side["median"]) if switch and side["median"] and name != "switch" else ""
        cores = "%.2f" % side["cores"] if side.get("cores") else ""
        lines.append("  %-28s %9s %9s %9s %7s %7s" % (
            SIDES[name], number(side["median"]), number(side["min"]), number(side["max"]), ratio, cores))
    for name, side in case["sides"].items():
        for key, what in (("limit", "is limited by"), ("disturbed", "was disturbed:")):
            if key in side:
                lines.append("  %s %s %s" % (SIDES[name], what, side[key]))
    lines += ["  " + circles.text(SIDES[name], side) for name, side in case["sides"].items() if "circle" in side]
    for bar in case["bars"]:
        lines.append("  bar: %s%s: %s" % (bar_side(bar), bar_demand(bar), bar_verdict(bar)))
    return "\n".join(lines)


def text(results):
    parts = [heading(results["run"]) +
             "\nratio: vswitch's median over that side's; cores: what its own processes used"]
    parts += [text_case(case) for case in results["cases"]]
    if results["pipeline"]:
        parts.append(pipeline.text(results["pipeline"]))
    missing = ["%s is not in %s: %s" % (SIDES[item["side"]], item["path"], item["reason"])
               for item in results["absent"]]
    if missing:
        parts.append("\n".join(missing))
    if results["stalled_samples"]:
        parts.append("The machine stood still for more than a tenth of a second in %d samples" %
                     results["stalled_samples"])
    bars = [bar["met"] for case in results["cases"] for bar in case["bars"]]
    bars += [met for row in results["pipeline"] for _, _, met in row["bars"]]
    parts.append("%d bars: %d met, %d missed, %d not measured" % (
        len(bars), bars.count(True), bars.count(False), bars.count(None)))
    return "\n\n".join(parts) + "\n"


def cell(side):
    if side is None:
        return ""
    return "%s (%s–%s)" % (number(side["median"]), number(side["min"]), number(side["max"]))


def table_row(cells):
    return "| " + " | ".join(cells) + " |"


def markdown_case(case, sides):
    verdicts = ["%s%s: %s" % (bar_side(bar), bar_demand(bar), bar_verdict(bar)) for bar in case["bars"]]
    # What stands in the way of a figure belongs beside it.
    verdicts += ["%s is limited by %s" % (SIDES[name], side["limit"]) for name, side in case["sides"].items()
                 if name in ("switch", "loop") and "limit" in side]
    return table_row(["%s, %s" % (case["title"], case["unit"])] + [cell(case["sides"].get(name)) for name in sides]
                     + ["; ".join(verdicts)])


def markdown(results):
    sides = [name for name in MARKDOWN_SIDES if name == "switch" or any(name in case["sides"] for case in results["cases"])]
    lines = [table_row(["median (min–max)"] + [SIDES[name] for name in sides] + ["bar: reached"]),
             table_row(["---"] * (len(sides) + 2))]
    lines += [markdown_case(case, sides) for case in results["cases"] if case["bars"]]
    lines += [table_row([what, value] + [""] * (len(sides) - 1) + [verdicts])
              for what, value, verdicts in pipeline.markdown(results["pipeline"])]
    return "\n".join(lines) + "\n\n" + heading(results["run"]).replace("\n", ".\n") + ".\n"
