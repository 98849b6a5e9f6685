"""open.batch: plans per second in batches of 1,000, cold from the origin and warm from the node. Reported, no limit."""

import beside

OBJECTS = 10_000


def measure(bench):
    small = beside.row("small_requests")
    cold, warm = small.two_passes(bench, OBJECTS, 0)
    value = OBJECTS / warm["open_s"]
    return {
        "name": "open.batch", "value": value, "unit": "plans/s", "limit": value, "ratio": 1.0,
        "note": f"{OBJECTS} names in batches of 1,000 through one of {small.NODES} nodes; known to the node: {value:.0f}/s, "
                f"cold: {OBJECTS / cold['open_s']:.0f}/s with {cold['requests'] / OBJECTS:.2f} origin requests a name",
    }
