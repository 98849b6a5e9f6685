"""What the demo measured, as a table, as a picture, and as a list of what this version doesn't do. 80 columns."""

import sys

BAR = 29
BUSY = 0.9  # of all CPUs: then they, not the origin, set the time

NOT_YET = [
    "no writes: mounts are read-only",
    "RAM alone, no NVMe log: a node starts cold",
    "one copy of each chunk, unless the mount has `read_copies`: what a dead node",
    "  held comes from the origin again",
    "members come from a file: a dead node's part is served by others, but is",
    "  theirs for good only when the file says so",
    "large objects that aren't complete on a node reach its mounts through a socket",
    "no TLS between nodes: loopback, or a network that you trust",
]


def size(count):
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def seconds(value):
    return f"{value:.1f} s"


def sides(row):
    return [(which, row[which]) for which in ("without", "with")]


def table(rows):
    """`rows`: {"title", "distinct_bytes", "without", "with"} each."""
    rule = "  " + "-" * 76
    lines = [f"  {'':27} {'':7} {'origin':>8} {'÷ distinct':>11} {'requests':>9} {'time':>8}"]
    for row in rows:
        lines.append(rule)
        titles = {"without": row["title"], "with": f"  {size(row['distinct_bytes'])} distinct"}
        for which, result in sides(row):
            requests = f"{result['origin_requests']:,}" if result["origin_requests"] is not None else "-"
            busy = "*" if result["cpu_busy"] > BUSY else ""
            lines.append(f"  {titles[which]:27} {which:7} {size(result['origin_bytes']):>8} {result['ratio']:>11.2f} "
                         f"{requests:>9} {seconds(result['seconds']):>8}{busy}")
    lines += [rule, "  origin: bytes that left it; distinct: what was read, counted once"]
    if any(result["cpu_busy"] > BUSY for row in rows for _, result in sides(row)):
        lines.append("  * all CPUs were busy: readers, mounts, nodes and the origin share this machine")
    return "\n".join(lines)


def picture(rows):
    """Bytes that left the origin, as bars."""
    full, empty = ("█", "·") if can_show("█·") else ("#", ".")
    most = max(result["origin_bytes"] for row in rows for _, result in sides(row)) or 1
    lines = ["  Bytes that left the origin:"]
    for row in rows:
        for which, result in sides(row):
            cells = round(BAR * result["origin_bytes"] / most)
            cells = max(cells, 1) if result["origin_bytes"] else 0
            title = row["title"] if which == "without" else ""
            lines.append(f"  {title:26} {which:7}  {(full * cells).ljust(BAR, empty)}  {size(result['origin_bytes']):>8}")
    return "\n".join(lines)


def can_show(text):
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
