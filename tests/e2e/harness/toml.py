"""Writes the TOML that nodes read (docs/config.md): tables, tables in lists, strings, numbers, booleans."""


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x20 or c in '"\\\x7f' else c for c in str(value))
    return f'"{escaped}"'


def dumps(config):
    """`config` is {"node": {...}, "cell": {"member": [{...}]}, "mount": [{...}]}. None leaves a key out."""
    lines = []
    for name, table in config.items():
        _write(lines, name, table)
    return "\n".join(lines) + "\n"


def _write(lines, name, table):
    if isinstance(table, list):
        for item in table:
            lines.append(f"[[{name}]]")
            lines.extend(_keys(item))
        return
    lines.append(f"[{name}]")
    lines.extend(_keys(table))
    for key, inner in table.items():
        if _is_table(inner):
            _write(lines, f"{name}.{key}", inner)


def _is_table(value):
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _keys(table):
    return [f"{key} = {_value(value)}" for key, value in table.items() if value is not None and not _is_table(value)]
