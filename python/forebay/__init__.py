"""Reads a Forebay cell: datasets and models from object storage, out of the RAM of the cell's nodes.

    import forebay

    with forebay.connect() as client:
        for entry in client.ls("imagenet/train"):
            print(entry.name, entry.size)
        with client.open("imagenet/train/shard-0001.tar") as file:
            header = file.read(512)

`Client` is the reference; `forebay.fs.ForebayFileSystem` is the same for fsspec, which finds it as forebay://.
"""

from ._client import Client, Prefetch, connect
from ._errors import (
    CorruptError,
    DeadlineExceededError,
    ForebayError,
    GoneError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from ._file import File, View
from ._native import version as _version
from ._types import Entry, Stat

__version__ = _version()

__all__ = [
    "Client",
    "CorruptError",
    "DeadlineExceededError",
    "Entry",
    "File",
    "ForebayError",
    "GoneError",
    "InvalidArgumentError",
    "NotFoundError",
    "PermissionDeniedError",
    "Prefetch",
    "Stat",
    "UnavailableError",
    "View",
    "connect",
]
