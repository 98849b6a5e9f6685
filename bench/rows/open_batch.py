"""open.batch: plans per second in batches of 1,000, cold from the origin and warm from the node. Reported, no limit."""

import importlib.util
from pathlib import Path

OBJECTS = 10_000


def measure(bench):
    spec = importlib.util.spec_from_file_location("small_requests", Path(__file__).with_name("small_requests.py"))
    small = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(small)
    cold, warm = small.two_passes(bench, OBJECTS, 0)
    value = OBJECTS / warm["open_s"]
    return {
        "name": "open.batch", "value": value, "unit": "plans/s", "limit": value, "ratio": 1.0,
        "note": f"{OBJECTS} names in batches of 1,000 through one of {small.NODES} nodes; known to the node: {value:.0f}/s, "
                f"cold: {OBJECTS / cold['open_s']:.0f}/s with {cold['requests'] / OBJECTS:.2f} origin requests a name",
    }
