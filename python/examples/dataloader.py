"""Datasets for torch's DataLoader, over shards and over small files. Imports without torch, and works without it.

    loader = torch.utils.data.DataLoader(Shards("imagenet/train"), batch_size=None, num_workers=8)
    loader = torch.utils.data.DataLoader(SmallFiles("photos/train"), batch_size=256, num_workers=8, collate_fn=list)

Both are made once and given to workers by fork or spawn: a forebay.Client connects anew in each of them.
"""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import forebay

try:
    from torch.utils.data import Dataset, IterableDataset, get_worker_info
except ImportError:
    Dataset = IterableDataset = object

    def get_worker_info() -> Any:
        return None


class Shards(IterableDataset):
    """The samples of a directory of tar shards: (name, bytes) each, shards in another order in each epoch.

    Each worker reads its own shards, from the first byte to the last; while one is read, the cell brings the next one
    nearer. `rank` and `ranks` are those of the job's processes.
    """

    def __init__(self, directory: str, rank: int = 0, ranks: int = 1, seed: int = 0) -> None:
        self._client = forebay.connect()
        self._names = [f"{directory}/{e.name}" for e in self._client.scandir(directory) if e.name.endswith(".tar")]
        self._rank, self._ranks, self._seed, self.epoch = rank, ranks, seed, 0

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        names = list(self._names)
        random.Random(self._seed + self.epoch).shuffle(names)  # the same in every worker
        worker = get_worker_info()
        mine, workers = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        names = names[self._rank * workers + mine :: self._ranks * workers]
        for name, following in zip(names, [*names[1:], None]):
            if following is not None:
                self._client.prefetch([following], wait=False)
            with self._client.open(name, buffering=4 << 20) as file, tarfile.open(fileobj=file, mode="r|") as shard:
                for member in shard:
                    content = shard.extractfile(member)
                    if content is not None:
                        yield member.name, content.read()


class SmallFiles(Dataset):
    """The objects below a directory, a whole batch of them in a few requests: DataLoader asks by __getitems__."""

    def __init__(self, directory: str, names: Optional[Sequence[str]] = None) -> None:
        self._client = forebay.connect()
        self._names = list(names) if names is not None else sorted(self._below(directory))

    def _below(self, directory: str) -> Iterator[str]:
        for entry in self._client.scandir(directory):
            name = f"{directory}/{entry.name}"
            if entry.directory:
                yield from self._below(name)
            else:
                yield name

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> io.BytesIO:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[io.BytesIO]:
        return [io.BytesIO(data) for data in self._client.read_files(self._names[index] for index in indices)]
