"""What a summary is asked to prefer: passages that carry certain labels."""

from collections.abc import Sequence

from tocsin_models.protocols import Focus
from tocsin_models.records import Passage, Summary

# Log-odds that a sentence gains where its passage certainly carries the label. On news the best
# three sentences of an article are about 2 above the rest: so a label decides among the rest, and
# the strongest lead stays (models/README.md, "Styles and focus").
GAIN = 3.0


def focus_on(labels: Sequence[str], passages: Sequence[Passage]) -> Focus | None:
    """The focus for an article whose passages these are, in order; None without labels. A passage
    gains by the most probable of the labels."""
    if not labels:
        return None
    return Focus(
        labels=tuple(dict.fromkeys(labels)),
        gains=tuple(GAIN * max(passage.scores[label] for label in labels) for passage in passages),
        carriers=frozenset(
            passage.index
            for passage in passages
            if passage.kind == "body" and set(labels) & set(passage.labels)
        ),
    )


def focus_warnings(
    focus: Focus | None, passages: Sequence[Passage], summary: Summary | None
) -> tuple[str, ...]:
    """What an answer has to say of a wish that could not be met, a line each."""
    if focus is None or summary is None:
        return ()
    found = {label for passage in passages if passage.kind == "body" for label in passage.labels}
    lines = [
        f"focus: no passage of the body carries {label}"
        for label in focus.labels
        if label not in found
    ]
    if focus.carriers and not any(item.passage in focus.carriers for item in summary.sentences):
        lines.append(
            f"focus: no sentence of a passage that carries {' or '.join(focus.labels)} fits into "
            "the limits; allow a longer summary"
        )
    return tuple(lines)
