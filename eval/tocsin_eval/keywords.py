"""The simplest baseline: a label is given where one of its words stands."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from tocsin_models.errors import ConfigError
from tocsin_models.protocols import Scores
from tocsin_models.records import ModelInfo

# What an editor would type into a search box for each of the codebook's questions.
WORDS: Mapping[str, tuple[str, ...]] = {
    "claim": (
        *("claim", "claims", "claimed", "alleged", "allegedly", "accused", "accuses", "blamed"),
        *("denied", "denies", "deny", "reportedly", "responsibility", "insisted", "according to"),
    ),
    "diplomacy": (
        *("talks", "envoy", "ceasefire", "truce", "treaty", "mediation", "mediator", "summit"),
        *("foreign minister", "foreign ministry", "ambassador", "sanctions", "resolution"),
        *("condemned", "negotiations", "agreement", "diplomatic"),
    ),
    "retaliation": (
        *("retaliation", "retaliated", "retaliate", "retaliatory", "revenge", "reprisal"),
        *("reprisals", "avenge", "avenged", "in response to", "in answer to", "in reply to"),
    ),
    "threat": (
        *("threat", "threatened", "threatens", "threatening", "vowed", "vows", "warned", "warns"),
        *("ultimatum", "will strike", "will pay", "reserves the right"),
    ),
}


class KeywordClassifier:
    """A label scores 1 where one of its words stands in a text as a whole word, else 0."""

    def __init__(self, words: Mapping[str, Sequence[str]] = WORDS) -> None:
        self.labels = tuple(words)
        self._patterns = [
            # Not \b, which finds no end of a word behind the last sign of C++.
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, found))})(?!\w)", re.IGNORECASE)
            for found in words.values()
        ]
        told = repr(sorted((label, tuple(found)) for label, found in words.items()))
        self.info = ModelInfo(
            name="keywords",
            revision="sha256:" + hashlib.sha256(told.encode()).hexdigest(),
            precision="f32",
            device="cpu",
            languages=("en",),
            thresholds=dict.fromkeys(words, 0.5),
        )

    def score(self, texts: Sequence[str]) -> Scores:
        """Shape (texts, labels): 0 or 1."""
        found = [[bool(pattern.search(text)) for pattern in self._patterns] for text in texts]
        return Scores(
            labels=self.labels,
            probabilities=np.array(found, np.float32).reshape(len(texts), len(self.labels)),
            windows=(1,) * len(texts),
        )


def read_keywords(path: Path) -> dict[str, list[str]]:
    """Words of each label from a YAML file, ``label: [word, …]``.

    Raises:
        ConfigError: it is not in this form.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(str(path), [f"cannot be read as YAML ({type(error).__name__})"]) from None
    is_right = isinstance(found, dict) and all(
        isinstance(words, list)
        and words
        and all(isinstance(word, str) and word.strip() for word in words)
        for words in found.values()
    )
    if not found or not is_right:
        raise ConfigError(str(path), ["must map each label to a list of words: `label: [word, …]`"])
    return {str(label): words for label, words in found.items()}
