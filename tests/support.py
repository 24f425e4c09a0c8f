"""What several tests share: two models of ten lines each, and the command line run in-process."""

import io
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from tocsin_models.protocols import Limits, Scores
from tocsin_models.records import ModelInfo, Paragraph, Summary, SummarySentence
from tocsin_serving.cli import main

KEYWORDS = {
    "claim": ("denied", "accused"),
    "threat": ("vowed", "warned"),
    "retaliation": ("reprisal", "revenge"),
    "diplomacy": ("talks", "envoy"),
}


class KeywordClassifier:
    """A label scores 0.9 where one of its words stands, else 0.1. Long texts count windows."""

    def __init__(self) -> None:
        self.labels = tuple(KEYWORDS)
        self.info = ModelInfo(
            name="keywords",
            revision="sha256:0123456789abcdef",
            precision="f32",
            device="cpu",
            languages=("en",),
            thresholds=dict.fromkeys(KEYWORDS, 0.5),
        )
        self.calls: list[int] = []

    def score(self, texts: Sequence[str]) -> Scores:
        self.calls.append(len(texts))
        found = [
            [any(word in text for word in words) for words in KEYWORDS.values()] for text in texts
        ]
        return Scores(
            labels=self.labels,
            probabilities=np.where(np.array(found).reshape(-1, 4), 0.9, 0.1).astype(np.float32),
            windows=tuple(1 + len(text) // 2000 for text in texts),
        )


class LeadSummariser:
    """The first body paragraphs, whole: two, or as many as the limit allows."""

    info = ModelInfo(
        name="lead",
        revision="sha256:fedcba9876543210",
        precision="f32",
        device="cpu",
        languages=("en",),
    )

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        body = [pair for pair in enumerate(paragraphs) if pair[1].kind == "body"]
        sentences = tuple(
            SummarySentence(
                text=paragraph.text,
                start=paragraph.start,
                end=paragraph.end,
                passage=index,
                score=0.5,
            )
            for index, paragraph in body[: limits.max_sentences or 2]
        )
        return Summary(
            sentences=sentences, windows=1, reason=None if sentences else "no body paragraph"
        )


@dataclass(frozen=True)
class Ran:
    """A finished run of the command line."""

    code: int
    out: str
    err: str


def run(
    *arguments: object, stdin: bytes = b"", width: int = 100, encoding: str = "utf-8", **env: str
) -> Ran:
    """``tocsin ARGUMENTS`` in this process: what it printed, and its exit code."""
    out, err = (io.BytesIO() for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tocsin", *map(str, arguments)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
        patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="utf-8"))
        for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patch.delenv(name, raising=False)
        for name, value in {"COLUMNS": str(width), **env}.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as stop:
            main()
        sys.stdout.flush()
        sys.stderr.flush()
        printed = out.getvalue().decode("utf-8"), err.getvalue().decode("utf-8")
    code = stop.value.code
    assert isinstance(code, int)
    return Ran(code, *printed)


def squeeze(text: str) -> str:
    """Without colours, frames and repeated white space, so that wrapping does not matter."""
    plain = re.sub(r"\x1b\[[\d;]*m|[│╭╮╰╯─]", "", text)
    return " ".join(plain.split())
