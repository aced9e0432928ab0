# SPDX-License-Identifier: Apache-2.0
#
# What pipeline_bench and pipeline_instructions said of the pipeline alone, beside the bars for it.
#
# Judged by the best sample: whatever else runs on the machine only ever adds to one.

# ns a packet.
LIMITS = {("macs", 1): 15, ("macs", 1000000): 40}
GROWTH_LIMIT = 1.3
# The other rows, where each packet of a batch is another's, are to look at.
GROWTH_NAMES = ("macs", "ports", "segments", "peers")


def judge(pipeline):
    """The rows, with the bars of each: (demand, reached, met)."""
    rows = []
    for row in pipeline["rows"] if pipeline else []:
        bars = []
        limit = LIMITS.get((row["name"], row["count"]))
        if limit is not None:
            bars.append(("≤ %d ns" % limit, "%.1f" % row["best"], row["best"] <= limit))
        if row["growth"] != 1 and row["name"] in GROWTH_NAMES:
            bars.append(("≤ %g × the first" % GROWTH_LIMIT, "%.2f" % row["growth"],
                         row["growth"] <= GROWTH_LIMIT))
        instructions = pipeline.get("instructions", {}).get("%s/%d" % (row["name"], row["count"]))
        rows.append(dict(row, bars=bars, instructions=instructions))
    return rows


def text(rows):
    lines = ["The pipeline alone, ns a packet (less is better)",
             "  %-10s %10s %9s %9s %9s %13s" % ("", "", "best", "median", "growth", "instructions")]
    for row in rows:
        lines.append("  %-10s %10d %9.1f %9.1f %9.2f %13s" % (
            row["name"], row["count"], row["best"], row["median"], row["growth"], row["instructions"] or ""))
        lines += ["  bar: %s: %s, %s" % (demand, reached, "met" if met else "missed")
                  for demand, reached, met in row["bars"]]
    return "\n".join(lines)


def markdown(rows):
    """For each name what grows, what it costs and how the bars stand."""
    result = []
    for name in dict.fromkeys(row["name"] for row in rows):
        group = [row for row in rows if row["name"] == name]
        bars = [bar for row in group for bar in row["bars"] if bar[0].endswith(" ns")]
        growth = [row for row in group if row["growth"] != 1 and name in GROWTH_NAMES]
        verdicts = ["%s: %s, %s" % (demand, reached, "met" if met else "missed") for demand, reached, met in bars]
        if growth:
            most = max(growth, key=lambda row: row["growth"])
            verdicts.append("growth ≤ %g: %.2f, %s" % (
                GROWTH_LIMIT, most["growth"], "met" if most["growth"] <= GROWTH_LIMIT else "missed"))
        result.append(("the pipeline alone, %s %s, ns a packet" % (
            name, " / ".join("{:,}".format(row["count"]) for row in group)),
            " / ".join("%.1f" % row["best"] for row in group), "; ".join(verdicts)))
    return result
