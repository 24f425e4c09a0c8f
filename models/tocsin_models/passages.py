"""Paragraphs longer than the encoder reads -> windows of whole sentences."""

from collections.abc import Sequence

Span = tuple[int, int]


def split_windows(
    token_offsets: Sequence[Span], sentences: Sequence[Span], max_tokens: int
) -> list[Span]:
    """Cut a text's tokens into windows of at most ``max_tokens``, at sentence boundaries.

    Args:
        token_offsets: (start, end) of each token in the text, in order, without special tokens. A
        token
            belongs to the sentence in which it starts; one before the first sentence, to the first.
        sentences: (start, end) of each sentence, in order (``split_sentences``).
        max_tokens: what the encoder reads, less its special tokens; at least 1.

    Returns:
        (first token, end token) of each window. Every token is in exactly one. Windows are filled
        with whole sentences from the beginning; only a sentence that alone is longer than
        ``max_tokens`` is cut inside. No tokens give one empty window, (0, 0).

    Raises:
        ValueError: ``max_tokens`` is below 1.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}, at least 1 is needed")
    if len(token_offsets) <= max_tokens:
        return [(0, len(token_offsets))]
    windows: list[Span] = []
    start = 0
    for first, end in _sentence_tokens(token_offsets, sentences):
        if end - start <= max_tokens:
            continue
        if start < first:
            windows.append((start, first))
            start = first
        while end - start > max_tokens:
            windows.append((start, start + max_tokens))
            start += max_tokens
    windows.append((start, len(token_offsets)))
    return windows


def _sentence_tokens(token_offsets: Sequence[Span], sentences: Sequence[Span]) -> list[Span]:
    """(first token, end token) of every sentence that has tokens; together they hold all tokens."""
    firsts = [0]
    token = 0
    for start, _ in sentences[1:]:
        while token < len(token_offsets) and token_offsets[token][0] < start:
            token += 1
        if token > firsts[-1]:
            firsts.append(token)
    ends = [*firsts[1:], len(token_offsets)]
    return [(first, end) for first, end in zip(firsts, ends, strict=True) if first < end]
