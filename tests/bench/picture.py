# SPDX-License-Identifier: Apache-2.0
#
# The README's picture: throughput of each side on each path, drawn by gnuplot.
import subprocess
import sys

from tables import SIDES

# Colours that differ for all kinds of eyes, too, the switch's the strongest.
COLOURS = {"switch": "#0b4f8a", "loop": "#7fb3d9", "bridge": "#9a9a9a", "ovs": "#d9730d", "ovstso": "#f2b880",
           "vde": "#b5a642"}
UPPER = {
    "tap-1": "TAP to TAP",
    "veth-1": "veth to veth",
    "vxlan-1": "TAP to TAP\\nover VXLAN",
    "limited": "TAP to veth\\nwithout offloads",
    "peer": "TAP to kernel's\\nvxlan device",
}
LOWER = {"tap-8": "TAP to TAP", "veth-8": "veth to veth", "vxlan-8": "TAP to TAP\\nover VXLAN"}
WIDTH, HEIGHT = 1800, 1120  # twice what the README shows, for sharp screens
BAR_SHARE = 0.86            # of a group's width that is bars
LEFT, GROUP = 0.055, 0.186  # where the panels begin, and how wide a group is

STYLE = """
set terminal pngcairo noenhanced size {width},{height} font "DejaVu Sans,22" linewidth 2
set output "{file}"
set multiplot
set label 1 "TCP through switches, Gbit/s of payload: higher is better" at screen 0.5,0.967 center \
font "DejaVu Sans Bold,27"
set label 2 "{caption}" at screen 0.5,0.022 center font "DejaVu Sans,19" textcolor rgb "#555555"
set lmargin at screen {left}
unset key
set border 1 linecolor rgb "#555555"
set tics nomirror scale 0
set grid ytics linecolor rgb "#dddddd" linewidth 1
set style fill solid 1.0 noborder
"""
PANEL = """
set title "{title}" font "DejaVu Sans,23" offset 0,-0.3
set rmargin at screen {right_margin:.4f}
set xrange [-0.5:{groups} - 0.5]
set tmargin at screen {top_margin}
set bmargin at screen {bottom_margin}
set yrange [0:{top}]
set xtics ({tics}) font "DejaVu Sans,21"
"""


def bars_of(cases):
    """For each side: (place, width, value) of its bars; the bars of a group stand side by side."""
    bars = {}
    width = BAR_SHARE / len(COLOURS)
    for place, case in enumerate(cases):
        sides = [name for name in COLOURS if name in case["sides"]]
        for number, name in enumerate(sides):
            at = place + (number - (len(sides) - 1) / 2) * width
            bars.setdefault(name, []).append((at, width * 0.94, case["sides"][name]["median"]))
    return bars


def panel(cases, names, title, top_margin, bottom_margin):
    bars = bars_of(cases)
    if not bars:
        return ""
    top = max(value for side in bars.values() for _, _, value in side)
    tics = ", ".join('"%s" %d' % (names[case["name"]], place) for place, case in enumerate(cases))
    lines = [PANEL.format(title=title, top_margin=top_margin, bottom_margin=bottom_margin, top=top * 1.12, tics=tics,
                          groups=len(cases), right_margin=LEFT + GROUP * len(cases))]
    plots = []
    for name, places in bars.items():
        lines.append("$%s << EOD" % name)
        lines += ["%.4f %.4f %.4f" % place for place in places]
        lines.append("EOD")
        plots.append('$%s using 1:3:2 with boxes linecolor rgb "%s"' % (name, COLOURS[name]))
        plots.append('$%s using 1:3:(sprintf("%%.1f", $3)) with labels offset 0,0.6 '
                     'font "DejaVu Sans,16"' % name)
    return "\n".join(lines) + "\nplot " + ", ".join(plots) + "\n"


def legend(sides):
    """To the right of the lower panel, which has fewer groups than the upper one."""
    lines = []
    for number, name in enumerate(sides):
        y = 0.385 - 0.045 * number
        lines.append('set object %d rectangle from screen 0.7,%.3f to screen 0.72,%.3f fillcolor rgb "%s" '
                     'fillstyle solid noborder' % (number + 1, y - 0.012, y + 0.012, COLOURS[name]))
        lines.append('set label %d "%s" at screen 0.73,%.3f font "DejaVu Sans,22"' % (number + 10, SIDES[name], y))
    return "\n".join(lines) + "\n"


def draw(results, path):
    by_name = {case["name"]: case for case in results["cases"] if case["sides"]}
    upper = [by_name[name] for name in UPPER if name in by_name]
    lower = [by_name[name] for name in LOWER if name in by_name]
    if not upper + lower:
        sys.exit("no picture: no TCP stream was measured")
    run = results["run"]
    caption = "iperf3, median of %d by turns; source, sink and switch share %d cores; Linux %s" % (
        run["rounds"], run["cores"], run["kernel"].split("-")[0])
    script = STYLE.format(width=WIDTH, height=HEIGHT, file=path.replace('"', ""), caption=caption, left=LEFT)
    script += legend([name for name in COLOURS if any(name in case["sides"] for case in upper + lower)])
    script += panel(upper, UPPER, "one stream", 0.885, 0.58)
    # What stands outside of the panels is drawn with each of them, unless it is taken away.
    if upper:
        script += "unset label\nunset object\n"
    script += panel(lower, LOWER, "eight streams in each direction at once, added up", 0.43, 0.125)
    subprocess.run(["gnuplot"], input=script + "unset multiplot\n", text=True, check=True)
