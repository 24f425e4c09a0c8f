"""Text -> token ids, with the ``tokenizers`` library alone: loading it takes milliseconds, where
``transformers`` takes seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from tocsin_models.errors import ModelDamaged

# Lengths that rows are padded to: multiples of this. A batch holds one length only, so that a row
# is computed in the same shape whatever its neighbours are (design, "Running it").
LENGTH_STEP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Ids of a text without special tokens, and the (start, end) code points each came from."""

    ids: list[int]
    offsets: list[tuple[int, int]]


class TextTokenizer:
    """The tokenizer of a model directory; ``prefix`` and ``suffix`` are its special tokens.

    Raises:
        ModelDamaged: ``tokenizer.json`` is missing or cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ModelDamaged(
                f"{path}: cannot be read ({error}); copy the directory again"
            ) from None
        self.padding_id = int((self._tokenizer.padding or {}).get("pad_id", 0))
        # Length is ours to watch over: nothing is cut off or padded behind our back.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        framed = self._tokenizer.encode("a")
        inner = [index for index, special in enumerate(framed.special_tokens_mask) if not special]
        self.prefix = framed.ids[: inner[0]]
        self.suffix = framed.ids[inner[-1] + 1 :]

    @property
    def special_tokens(self) -> int:
        """How many tokens of a window are not text."""
        return len(self.prefix) + len(self.suffix)

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of each text; a lone surrogate, which no tokenizer can read, counts as U+FFFD."""
        safe = [
            text.encode("utf-8", "replace").decode() if _has_surrogate(text) else text
            for text in texts
        ]
        return [
            Tokens(ids=encoding.ids, offsets=encoding.offsets)
            for encoding in self._tokenizer.encode_batch(safe, add_special_tokens=False)
        ]

    def frame(self, ids: Sequence[int]) -> list[int]:
        """A window as the encoder reads it: special tokens around the text's own."""
        return [*self.prefix, *ids, *self.suffix]


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def padded_length(tokens: int, max_tokens: int) -> int:
    """The next step of the ladder of lengths, at most ``max_tokens``."""
    return min(-(-tokens // LENGTH_STEP) * LENGTH_STEP, max(max_tokens, tokens))
