# SPDX-License-Identifier: Apache-2.0
#
# What the slices of time say together in which a guest counted frames that circulate (dpdk/guest.c).
#
# A virtual machine's cores move between near and far ones of its host, and with them what two processes do that pass frames
# in shared memory; and when one of the two has no core, the other one stands still as well. Only slices count in which the
# cores were about as near as they ever were in this run, and nobody else's. A sample without enough of them is poor: it
# counts only where its side has no other.
import statistics

NEAR = 1.6     # of the nearest
WAITED = 0.02  # of a slice
SHARE = 0.25   # of a sample's slices
BUSY = 0.9     # a guest that has so little time left is the limit


def counts(one, nearest):
    return one["distance"] <= nearest * NEAR and one["waited"] <= WAITED


def value_of(used, field, scale):
    return statistics.median(one[field] / one["seconds"] * scale for one in used)


def settle_sample(sample, nearest):
    slices = sample["circle"]["slices"]
    good = [one for one in slices if counts(one, nearest)]
    poor = len(good) < SHARE * len(slices)
    used = slices if poor else good
    busy = statistics.median(one["busy"] for one in used)
    sample["value"] = value_of(used, "octets", 8e-9) if sample.get("counts") == "octets" else value_of(used, "frames", 1e-6)
    sample["circle"] = {
        "poor": poor, "slices": len(used), "of": len(slices), "busy": busy,
        "distance": statistics.median(one["distance"] for one in used),
        "waited": statistics.median(one["waited"] for one in used),
        "gbits": value_of(used, "octets", 8e-9),
        "lost": sum(one["lost"] for one in slices),
    }
    if busy > BUSY:
        sample["limit"] = "the guest: it is busy %.0f %% of the time" % (busy * 100)


def settle(samples):
    """Gives samples of circles their values."""
    circles = [sample for sample in samples if "circle" in sample]
    distances = [one["distance"] for sample in circles for one in sample["circle"]["slices"]]
    for sample in circles:
        settle_sample(sample, min(distances))


def without_poor(samples):
    """Those of one side of one case that count."""
    good = [sample for sample in samples if not sample.get("circle", {}).get("poor")]
    return good or samples


def summary(samples):
    """Of what counts of one side of one case, or nothing."""
    circles = [sample["circle"] for sample in samples if "circle" in sample]
    if not circles:
        return None
    result = {name: statistics.median(circle[name] for circle in circles) for name in ("busy", "distance", "waited", "gbits")}
    result["poor"] = circles[0]["poor"]
    result["lost"] = sum(circle["lost"] for circle in circles)
    return result


def text(name, side):
    """How much more the guest could do, and how far its core was from the switch's."""
    circle = side["circle"]
    parts = ["%s: guest busy %.0f %%" % (name, circle["busy"] * 100)]
    if circle["busy"] > 0:
        parts.append("its own limit is %.1f" % (side["median"] / circle["busy"]))
    parts.append("%.1f Gbit/s" % circle["gbits"])
    parts.append("%.0f ns from core to core" % circle["distance"])
    if circle["poor"]:
        parts.append("POOR: far cores, or %.0f %% of the time without one" % (circle["waited"] * 100))
    if circle["lost"]:
        parts.append("%d frames lost" % circle["lost"])
    if side["left_out"]:
        parts.append("poor samples left out: %d" % side["left_out"])
    return "; ".join(parts)
