"""Prints the table of the corpus that stands in ``training/README.md``."""

import json
from collections import Counter, defaultdict
from pathlib import Path

CORPUS = Path(__file__).resolve().parent.parent / "training" / "corpus"
LABELS = ("claim", "threat", "retaliation", "diplomacy")
COLUMNS = ("articles", "passages", *LABELS, "background", "two or more", "boilerplate")


def count(corpus: Path) -> dict[str, Counter[str]]:
    """Per genre, how many of each column: boilerplate is dropped before labelling, so it is
    counted apart and is neither a passage nor background."""
    genres: dict[str, Counter[str]] = defaultdict(Counter)
    for path in sorted(corpus.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            article = json.loads(line)
            counts = genres[article["genre"]]
            counts["articles"] += 1
            for passage in article["passages"]:
                if passage.get("boilerplate"):
                    counts["boilerplate"] += 1
                    continue
                counts["passages"] += 1
                counts.update(passage["labels"])
                counts["background"] += not passage["labels"]
                counts["two or more"] += len(passage["labels"]) > 1
    return dict(genres)


def table(genres: dict[str, Counter[str]]) -> str:
    """Markdown, the largest genre first, the sum last."""
    rows = sorted(genres.items(), key=lambda row: (-row[1]["passages"], row[0]))
    rows.append(("**all**", sum(genres.values(), Counter())))
    lines = ["| genre | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for name, counts in rows:
        lines.append(f"| {name} | " + " | ".join(f"{counts[key]:,}" for key in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(count(CORPUS)), end="")
