"""Labelled passages as a network reads them: how many have other names, and when which."""

from pathlib import Path
from typing import Any

import pytest

from tocsin_models import hub
from tocsin_training.examples import Examples, Row

ROWS = [Row(text="Iran vowed to strike.", target=[0.0, 1.0])] * 200


class Letters:
    """A token for each letter, so that what was read can be read again."""

    def __call__(self, text: str, *, truncation: bool, max_length: int) -> dict[str, list[int]]:
        assert truncation
        return {"input_ids": [ord(letter) for letter in text][:max_length]}


def examples(share: float, seed: int = 5, tokenizer: Any = None, length: int = 256) -> Examples:
    return Examples(ROWS, tokenizer or Letters(), length, seed, share)


def read(found: Examples) -> list[str]:
    return ["".join(map(chr, found[index]["input_ids"])) for index in range(len(found))]


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_the_share_that_is_asked_for_has_other_names(share: float) -> None:
    """Without it the setting would exchange all names, or none."""
    texts = read(examples(share))
    kept = sum(text == ROWS[0].text for text in texts)
    # 3 standard errors of 200 draws are a tenth.
    assert 1 - kept / len(texts) == pytest.approx(share, abs=0.1)
    assert all(text.endswith("vowed to strike.") for text in texts)


def test_no_share_leaves_every_text_alone_and_all_of_it_none() -> None:
    """Without it what is measured, with share 0, would be other people's text."""
    assert set(read(examples(0.0))) == {ROWS[0].text}
    assert read(examples(1.0)).count(ROWS[0].text) < 5  # Iran may be drawn for itself


def test_each_epoch_draws_other_names_and_the_same_epoch_the_same() -> None:
    """Without it four epochs would read one text four times, or a restart another text."""
    first, second, again = (examples(0.5) for _ in range(3))
    second.epoch = 1
    assert read(first) != read(second)
    assert read(first) == read(first) == read(again)
    assert read(examples(0.5, seed=6)) != read(first)


def test_a_paired_row_is_read_twice_with_names_drawn_apart() -> None:
    """Without it a network would be asked to agree with itself on one and the same text."""
    found = Examples(ROWS, Letters(), 256, 5, 0.5, pair_from=1)
    assert "other_ids" not in found[0]
    found.epoch = 1
    rows = [found[index] for index in range(len(found))]
    texts = [
        tuple("".join(map(chr, row[key])) for key in ("input_ids", "other_ids")) for row in rows
    ]
    assert all(one.endswith(" vowed to strike.") for pair in texts for one in pair)
    # Half of the first, half of the second, so a quarter of the pairs have no other name at all.
    assert sum(first != second for first, second in texts) / len(texts) == pytest.approx(
        0.75, abs=0.1
    )


def test_rows_hold_targets_and_one_window(tiny_base: Path) -> None:
    """Without it a long passage would be refused by the network, deep in an epoch."""
    row = examples(0.0, tokenizer=hub.load_tokenizer(str(tiny_base)), length=6)[0]
    assert row["labels"] == [0.0, 1.0]
    assert len(row["input_ids"]) == 6
