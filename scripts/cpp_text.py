"""C++ files as the checks see them: which there are, and their text without comments and literals."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_COMMENT_OR_LITERAL = re.compile(
    r"""
    //[^\n]* | /\*.*?\*/                                # comments
  | R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"        # raw strings
  | "(?:\\.|[^"\\\n])*"                                 # strings
  | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'                 # characters, but not the ' of 1'000
    """,
    re.VERBOSE | re.DOTALL,
)


def code_only(text):
    """The text with comments and literals blanked out; line numbers stay what they were."""
    return _COMMENT_OR_LITERAL.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def tracked(*patterns, root=ROOT):
    """Files that git knows and that are there, as paths relative to `root`."""
    out = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    return [Path(name) for name in out.split("\0") if name and (root / name).is_file()]
