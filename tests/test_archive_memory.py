"""What is in memory at once is bounded, whatever the input."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.archive import score, write_rows
from tests.support import KeywordClassifier

from tocsin_serving.archive import pipeline
from tocsin_serving.archive.blocks import Block, read_blocks


def test_no_more_is_read_ahead_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A reader that is faster than the model would fill the memory with rows.
    monkeypatch.setattr("tocsin_serving.archive.index.BLOCK_ROWS", 4)
    monkeypatch.setattr(pipeline, "WINDOW_ROWS", 8)
    read = 0

    def counting(*arguments: Any) -> Iterator[Block]:
        nonlocal read
        for block in read_blocks(*arguments):
            read += 1
            yield block

    monkeypatch.setattr(pipeline, "read_blocks", counting)
    ahead: list[int] = []

    class Slow(KeywordClassifier):
        def score(self, texts: Sequence[str]) -> Any:
            import time

            time.sleep(0.01)
            ahead.append(read - sum(self.calls) // 4)
            return super().score(texts)

    source = write_rows(tmp_path / "in.jsonl", [{"text": f"{n} talks"} for n in range(800)])
    assert score(source, tmp_path / "out", unit="passage", classifier=Slow()).scored == 800
    # In the queue, in the reader's hand, peeked at, and the window itself.
    assert max(ahead) <= pipeline.LOOK_AHEAD_BLOCKS + 2 + 8 // 4


def test_a_window_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Tokenising takes about a hundred bytes a byte of text.
    monkeypatch.setattr("tocsin_serving.archive.index.BLOCK_ROWS", 1)
    monkeypatch.setattr(pipeline, "BLOCK_BYTES", 5_000)

    class Measuring(KeywordClassifier):
        sizes: ClassVar[list[int]] = []

        def score(self, texts: Sequence[str]) -> Any:
            self.sizes.append(sum(map(len, texts)))
            return super().score(texts)

    source = write_rows(tmp_path / "in.jsonl", [{"text": f"{n} " + "x" * 1000} for n in range(50)])
    score(source, tmp_path / "out", unit="passage", classifier=Measuring())
    assert max(Measuring.sizes) <= 5_000
