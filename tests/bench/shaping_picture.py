# SPDX-License-Identifier: Apache-2.0
#
# The README's picture of bandwidth channels: the rates of tenants over time while they change, drawn by gnuplot.
import subprocess
import sys

COLOURS = ["#0b4f8a", "#d9730d", "#3a9a5b"]
TOGETHER = "#9a9a9a"
WIDTH, HEIGHT = 1800, 900  # twice what the README shows, for sharp screens

STYLE = """
set terminal pngcairo noenhanced size {width},{height} font "DejaVu Sans,22" linewidth 2
set output "{file}"
set label 1 "Three tenants share {capacity:g} Mbit/s" at screen 0.5,0.955 center font "DejaVu Sans Bold,27"
set label 2 "{caption}" at screen 0.5,0.025 center font "DejaVu Sans,19" textcolor rgb "#555555"
set lmargin at screen 0.075
set rmargin at screen 0.86
set tmargin at screen 0.83
set bmargin at screen 0.165
set border 3 linecolor rgb "#555555"
set tics nomirror scale 0
set grid ytics linecolor rgb "#dddddd" linewidth 1
set xlabel "time, s" offset 0,0.3
set ylabel "layer-2 rate at the sink, Mbit/s" offset 0.8,0
set xrange [0:{end:.3f}]
set yrange [0:{top:.0f}]
set key at screen 0.99,0.8 right top Left reverse samplen 1.5 spacing 1.3
"""


def event(number, at, text, top):
    """A line across the picture, and above it what happened."""
    return ('set arrow %d from %.3f,0 to %.3f,%.0f nohead dashtype 2 linecolor rgb "#555555" linewidth 1\n'
            'set label %d "%s" at first %.3f,graph 1.085 left font "DejaVu Sans,18"\n') % (
                number, at, at, top, number, text, at)


def draw(results, path):
    rates = results["rates"]
    if not rates:
        sys.exit("no picture of rates: the path shaping was not measured")
    columns = rates["rates"]["series"]
    top = rates["capacity"] * 1.2
    caption = "UDP, bins of %g ms, by the kernel's time stamps; sources, sinks and switch share %d cores" % (
        rates["rates"]["bin"] * 1000, results["run"]["cores"])
    script = STYLE.format(width=WIDTH, height=HEIGHT, file=path.replace('"', ""), capacity=rates["capacity"],
                          caption=caption, end=len(columns[0]) * rates["rates"]["bin"], top=top)
    for number, one in enumerate(rates["events"]):
        script += event(number + 10, one["at"] - rates["rates"]["start"], one["text"], top)
    script += "$rates << EOD\n"
    for row, values in enumerate(zip(*columns)):
        script += "%.4f %s %.2f\n" % (row * rates["rates"]["bin"], " ".join("%.2f" % value for value in values), sum(values))
    script += "EOD\n"
    plots = ['$rates using 1:%d with steps linewidth 1.5 linecolor rgb "%s" title "together"' % (
        len(columns) + 2, TOGETHER)]
    plots += ['$rates using 1:%d with steps linewidth 2 linecolor rgb "%s" title "%s"' % (column + 2, COLOURS[column], name)
              for column, name in enumerate(rates["names"])]
    subprocess.run(["gnuplot"], input=script + "plot " + ", ".join(plots) + "\n", text=True, check=True)
