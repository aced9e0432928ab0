# SPDX-License-Identifier: Apache-2.0
#
# The picture of vhost-user ports: frames a second between two of them, and what many MACs do to that, drawn by gnuplot.
import subprocess
import sys

from tables import SIDES

COLOURS = {"switch": "#0b4f8a", "testpmd": "#7fb3d9", "ovsdpdk": "#d9730d"}
LABELS = {"switch": "vswitch", "testpmd": "dpdk-testpmd\\nmacswap", "ovsdpdk": "Open vSwitch\\nwith DPDK"}
WIDTH, HEIGHT = 1800, 800  # twice what a page shows, for sharp screens
MACS = "dpdk-macs-"

STYLE = """
set terminal pngcairo noenhanced size {width},{height} font "DejaVu Sans,22" linewidth 2
set output "{file}"
set multiplot
set label 1 "Frames of 64 bytes between two vhost-user ports, Mpps: higher is better" at screen 0.5,0.95 center \
font "DejaVu Sans Bold,27"
set label 2 "{caption}" at screen 0.5,0.03 center font "DejaVu Sans,19" textcolor rgb "#555555"
set tmargin at screen 0.82
set bmargin at screen 0.2
set border 1 linecolor rgb "#555555"
set tics nomirror scale 0
set grid ytics linecolor rgb "#dddddd" linewidth 1
set style fill solid 1.0 noborder
unset key
"""
BARS = """
set title "one MAC behind each port" font "DejaVu Sans,23" offset 0,-0.3
set lmargin at screen 0.055
set rmargin at screen 0.45
set xrange [-0.5:{count} - 0.5]
set yrange [0:{top}]
set xtics ({tics}) font "DejaVu Sans,19"
"""
LINES = """
unset label
set title "MACs, half of them behind each port" font "DejaVu Sans,23" offset 0,-0.3
set lmargin at screen 0.53
set rmargin at screen 0.97
set xrange [-0.3:{count} - 0.7]
set yrange [0:{top}]
set xtics ({tics}) font "DejaVu Sans,19"
set key top right reverse Left font "DejaVu Sans,19"
"""


def data(name, rows):
    return "$%s << EOD\n%s\nEOD\n" % (name, "\n".join(" ".join("%g" % value for value in row) for row in rows))


def draw_bars(case):
    sides = [name for name in COLOURS if name in case["sides"]]
    script = BARS.format(count=len(sides), top=max(case["sides"][name]["max"] for name in sides) * 1.12,
                         tics=", ".join('"%s" %d' % (LABELS[name], place) for place, name in enumerate(sides)))
    plots = []
    for place, name in enumerate(sides):
        side = case["sides"][name]
        script += data("bar" + name, [(place, side["median"], side["min"], side["max"])])
        plots.append('$bar%s using 1:2:(0.6) with boxes linecolor rgb "%s"' % (name, COLOURS[name]))
        plots.append('$bar%s using 1:2:3:4 with yerrorbars linecolor rgb "#555555" pointtype -1' % name)
        plots.append('$bar%s using ($1+0.1):2:(sprintf("%%.1f", $2)) with labels left offset 0,0.6' % name)
    return script + "plot " + ", ".join(plots) + "\n"


def draw_lines(cases):
    """At the left end is what was measured by turns with the others, with one MAC behind each port."""
    counts = [2] + [int(case["name"][len(MACS):]) for case in cases]
    rows = {}
    for place, case in enumerate(cases, 1):
        for name in COLOURS:
            if name in case["sides"]:
                rows.setdefault(name, []).append((place, case["sides"][name]["median"]))
    ones = sorted(case["sides"]["one"]["median"] for case in cases if "one" in case["sides"])
    if ones:
        rows.setdefault("switch", []).insert(0, (0, ones[len(ones) // 2]))
    top = max(value for side in rows.values() for _, value in side)
    script = LINES.format(count=len(counts), top=top * 1.15,
                          tics=", ".join('"%s" %d' % ("{:,}".format(count), place)
                                         for place, count in enumerate(counts)))
    plots = []
    for name, side in rows.items():
        script += data("line" + name, side)
        plots.append('$line%s using 1:2 with linespoints pointtype 7 linewidth 2 linecolor rgb "%s" title "%s"' % (
            name, COLOURS[name], SIDES[name]))
    return script + "plot " + ", ".join(plots) + "\n"


def draw(results, path):
    by_name = {case["name"]: case for case in results["cases"] if case["sides"]}
    macs = [case for name, case in by_name.items() if name.startswith(MACS)]
    if "dpdk-loop" not in by_name and not macs:
        sys.exit("no picture of vhost-user ports: the path dpdk was not measured")
    run = results["run"]
    caption = "median of %d by turns; the guest on one core, the switch on the other; Linux %s" % (
        run["rounds"], run["kernel"].split("-")[0])
    script = STYLE.format(width=WIDTH, height=HEIGHT, file=path.replace('"', ""), caption=caption)
    if "dpdk-loop" in by_name:
        script += draw_bars(by_name["dpdk-loop"])
    if macs:
        script += draw_lines(macs)
    subprocess.run(["gnuplot"], input=script + "unset multiplot\n", text=True, check=True)
