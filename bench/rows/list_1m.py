"""list.1m: one client lists a cold directory of 1,000,000 objects, through the node beside it.

The limit gets the same pages from the same origin, one after another, and reads their XML, or searches their text for the
fields that a listing needs, whichever is faster.
"""

import urllib.parse

from harness.cell import Cell
from harness.origins import FakeOrigin
from pairs import Pairs, best_of, grid, median_of, requests_per_second, run_json, told, words

NAMES, PAGE = 1_000_000, 5_000
MEMORY = "4GiB"  # of which a 16th is for pages: about 1,250,000 names


def measure(bench):
    origin = FakeOrigin(bench.running, bench.program("forebay_fake_origin"), anonymous=True)
    for first in range(0, NAMES, 4_000):  # a request's body has at most 256 KiB
        origin.add("bench", *((f"d/{i:07}", 1) for i in range(first, first + 4_000)))
    cell = Cell(bench.running, bench.program("forebay"), bench.directory / "cell",
                mounts=[{"name": "bench", "consistency": "bounded:300s", **origin.mount("azure", "bench")}],
                node={"memory": MEMORY}).start()
    node = cell.nodes[0]
    query = urllib.parse.urlencode({"restype": "container", "comp": "list", "prefix": "d/", "delimiter": "/"})
    url = f"{origin.info['azure']}/bench?{query}"

    def raw(options):
        return whole(run_json(bench.program("forebay_limit_raw_list"), *words({"url": url, **options})))

    def ours():
        return whole(run_json(bench.program("forebay_bench_listing"), "--node", f"unix:{node.socket}",
                              "--directory", "bench/d", "--server", node.process.pid))

    def cold():
        node.cli("refresh", "bench/d")
        before = lists(origin)
        run = ours()
        asked = lists(origin) - before
        assert asked == NAMES // PAGE, f"{asked} list requests at the origin for {NAMES // PAGE} pages"
        return run

    best = best_of(grid(ahead=[False, True], search=[False, True]), lambda options: raw(options)["seconds"])
    pairs = Pairs.measure(lambda: raw(best), cold)
    before = lists(origin)
    warm = [ours() for _ in range(3)]
    assert lists(origin) == before, "a listing that is to be warm asked the origin"
    return pairs.row("list.1m", "names/s", requests_per_second, target=0.8,
                     note=f"{NAMES} names in one directory, {NAMES // PAGE} pages at the origin; warm "
                          f"{median_of(warm, requests_per_second):.0f} names/s; limit: libcurl and pugixml, or a search of "
                          f"the pages' text, whichever is faster: {told(best) or 'in turns'}")


def lists(origin):
    return origin.stats()["requests_by_op"].get("list", 0)


def whole(run):
    assert run["requests"] == NAMES, f"{run['requests']} names of {NAMES}"
    return run
