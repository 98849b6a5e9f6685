"""What the demo measured, as a table, as a picture, and as a list of what this version doesn't do."""

import sys

BAR = 44

NOT_YET = [
    "no writes: mounts are read-only",
    "RAM alone: no NVMe log yet, so a node starts cold",
    "a node that dies is gone until it starts again: others take over its part, but no slot is moved for good",
    "one copy of each chunk: what a dead node held is fetched from the origin again",
    "copies through the mount: no passthrough, no shared memory with clients yet",
    "no TLS between nodes, no capabilities: loopback, or a network that you trust",
]


def size(count):
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def seconds(value):
    return f"{value:.1f} s"


def side(result):
    """A row's half of the table: origin bytes, ÷ distinct, time."""
    if result is None:
        return ["", "-", ""]
    return [size(result["origin_bytes"]), f"{result['ratio']:.2f}", seconds(result["seconds"])]


def table(rows):
    """`rows`: {"title", "distinct_bytes", "without", "with"} each."""
    head = ["", "distinct", "origin", "÷ distinct", "time", "origin", "÷ distinct", "time"]
    body = [[r["title"], size(r["distinct_bytes"]), *side(r["without"]), *side(r["with"])] for r in rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

    def line(cells):
        shown = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:]))]
        return "  " + "  ".join(shown[:2]) + "  |  " + "  ".join(shown[2:5]) + "  |  " + "  ".join(shown[5:])

    left = 2 + widths[0] + 2 + widths[1] + 2
    middle = sum(widths[2:5]) + 4 + 5
    titles = " " * left + "|  " + "WITHOUT Forebay".ljust(middle - 3) + "|  " + "WITH Forebay"
    return "\n".join([titles, line(head), "  " + "-" * (len(line(head)) - 2), *(line(cells) for cells in body)])


def picture(rows):
    """Bytes that left the origin, as bars."""
    full, empty = ("█", "·") if can_show("█·") else ("#", ".")
    most = max(r[s]["origin_bytes"] for r in rows for s in ("without", "with") if r[s])
    width = max(len(r["title"]) for r in rows)
    lines = ["  Bytes that left the origin:"]
    for row in rows:
        for which in ("without", "with"):
            result = row[which]
            title = row["title"] if which == "without" or not row["without"] else ""
            if result is None:
                continue
            cells = round(BAR * result["origin_bytes"] / most) if most else 0
            cells = max(cells, 1) if result["origin_bytes"] else 0
            shown = (full * cells).ljust(BAR, empty)
            lines.append(f"  {title.ljust(width)}  {which:7}  {shown}  {size(result['origin_bytes'])}")
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
