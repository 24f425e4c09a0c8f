"""Shards of which all blocks are there are joined while others come in."""

from concurrent.futures import Future, ThreadPoolExecutor

from tocsin_serving.archive.store import Store


class Joins:
    """Joins finished shards in a thread of its own, while blocks go on coming in."""

    def __init__(self, store: Store, joiner: ThreadPoolExecutor) -> None:
        self._store = store
        self._joiner = joiner
        self._joins: dict[int, Future[None]] = {}

    def __enter__(self) -> "Joins":
        return self

    def __call__(self) -> None:
        for shard, join in list(self._joins.items()):
            if join.done():
                join.result()
                del self._joins[shard]
        for shard in self._store.unjoined():
            if shard not in self._joins:
                self._joins[shard] = self._joiner.submit(self._store.join, shard)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for join in self._joins.values():
            if kind is not None:
                join.cancel()
            else:
                join.result()
