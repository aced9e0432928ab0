# SPDX-License-Identifier: Apache-2.0
#
# The README's picture: throughput of each side on each path, drawn by gnuplot.
import subprocess
import sys

from tables import SIDES

NAMES = dict(SIDES, ovs="Open vSwitch", ovstso="Open vSwitch, TSO")
# Colours that differ for all kinds of eyes, too, the switch's the strongest.
COLOURS = {"switch": "#0b4f8a", "loop": "#7fb3d9", "bridge": "#9a9a9a", "ovs": "#d9730d",
           "ovstso": "#f2b880", "vde": "#b5a642"}
CASES = {
    "tap-1": "TAP–TAP\\none stream",
    "veth-1": "veth–veth\\none stream",
    "vxlan-1": "VXLAN\\none stream",
    "tap-8": "TAP–TAP\\n8 + 8 streams",
    "veth-8": "veth–veth\\n8 + 8 streams",
    "vxlan-8": "VXLAN\\n8 + 8 streams",
    "limited": "TAP–veth\\nno offloads",
    "peer": "TAP–kernel's\\nvxlan device",
}
WIDTH, HEIGHT = 1800, 900  # twice what the README shows, for sharp screens
BAR_SHARE = 0.84           # of a group's width that is bars

STYLE = """
set terminal pngcairo noenhanced size {width},{height} font "DejaVu Sans,22" linewidth 2
set output "{file}"
set label "TCP through switches, Gbit/s of payload: higher is better" at screen 0.5,0.955 center font "DejaVu Sans Bold,26"
set label "{caption}" at screen 0.5,0.035 center font "DejaVu Sans,17" textcolor rgb "#555555"
set bmargin 5.5
set lmargin 8
set rmargin 2
set tmargin 5.5
set key at screen 0.5,0.885 center horizontal maxrows 1 samplen 1.2 width -3 font "DejaVu Sans,19"
set border 1 linecolor rgb "#555555"
set tics nomirror scale 0
set grid ytics linecolor rgb "#dddddd" linewidth 1
set style fill solid 1.0 noborder
set yrange [0:{top}]
set ylabel "Gbit/s" offset 1,0
set xrange [-0.55:{right}]
set xtics ({tics}) font "DejaVu Sans,18"
"""


def bars_of(cases):
    """For each side: (place, width, value) of its bars; the bars of a group stand side by side, without gaps."""
    bars = {}
    for place, case in enumerate(cases):
        sides = [name for name in COLOURS if name in case["sides"]]
        width = BAR_SHARE / len(COLOURS)
        for number, name in enumerate(sides):
            at = place + (number - (len(sides) - 1) / 2) * width
            bars.setdefault(name, []).append((at, width * 0.94, case["sides"][name]["median"]))
    return bars


def script(results, cases, path):
    run = results["run"]
    bars = bars_of(cases)
    top = max(value for side in bars.values() for _, _, value in side)
    lines = [STYLE.format(
        width=WIDTH, height=HEIGHT, file=path.replace('"', ""), top=top * 1.12, right=len(cases) - 0.45,
        caption="iperf3, median of %d by turns; source, sink and switch share %d cores; "
        "Linux %s; Open vSwitch's userspace datapath" % (run["rounds"], run["cores"], run["kernel"].split("-")[0]),
        tics=", ".join('"%s" %d' % (CASES[case["name"]], place) for place, case in enumerate(cases)))]
    plots = []
    for name in (name for name in COLOURS if name in bars):
        lines.append("$%s << EOD" % name)
        lines += ["%.4f %.4f %.4f" % bar for bar in bars[name]]
        lines.append("EOD")
        plots.append('$%s using 1:3:2 with boxes linecolor rgb "%s" title "%s"' % (name, COLOURS[name], NAMES[name]))
        plots.append('$%s using 1:3:(sprintf($3 < 10 ? "%%.1f" : "%%.0f", $3)) with labels offset 0,0.6 '
                     'font "DejaVu Sans,15" notitle' % name)
    lines.append("plot " + ", ".join(plots))
    return "\n".join(lines) + "\n"


def draw(results, path):
    by_name = {case["name"]: case for case in results["cases"] if case["sides"]}
    cases = [by_name[name] for name in CASES if name in by_name]
    if not cases:
        sys.exit("no picture: no TCP stream was measured")
    subprocess.run(["gnuplot"], input=script(results, cases, path), text=True, check=True)
