"""A model in int8 for processors that have it, made once in training: users never quantise.

Post-training quantisation by NNCF: weights and activations of the matrix products become 8-bit
integers, the ranges of the activations being read off text. The only file that imports nncf.

    python -m tocsin_training.quantise DIR --articles training/corpus/*.jsonl

does it for the directory of a summariser that was trained without.
"""

import argparse
import dataclasses
import logging
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from tocsin_eval.data import read_summaries
from tocsin_models.backends import INT8_FILE, Arrays, Network, convert, save
from tocsin_models.classifier import classifier_network, pad_windows
from tocsin_models.errors import ModelError, TocsinError
from tocsin_models.manifest import hash_files, read_manifest, write_manifest
from tocsin_models.sentences import split_sentences
from tocsin_models.summariser import summariser_network
from tocsin_models.tokens import TextTokenizer, padded_length
from tocsin_models.windows import cut_evenly, to_arrays
from tocsin_training.progress import say

# Passages the ranges are read off; NNCF's own default.
SAMPLE = 300
# Articles they are read off, and windows of each: some 300 windows too.
ARTICLES = 60
WINDOWS = 5


def quantise_classifier(directory: Path, texts: Sequence[str], seed: int) -> None:
    """Put the int8 network of a classifier beside its weights, and into its manifest."""
    manifest = read_manifest(directory)
    tokenizer = TextTokenizer(directory)
    room = manifest.max_tokens - tokenizer.special_tokens
    drawn = random.Random(seed).sample(list(texts), min(SAMPLE, len(texts)))
    items = []
    for tokens in tokenizer.encode(drawn):
        window = tokenizer.frame(tokens.ids[:room])
        length = padded_length(len(window), manifest.max_tokens)
        items.append(pad_windows([window], length, tokenizer.padding_id))
    _quantise(directory, classifier_network(directory, manifest), items)


def quantise_summariser(directory: Path, articles: Sequence[Sequence[str]], seed: int) -> None:
    """The same of a summariser; an article is its paragraphs."""
    manifest = read_manifest(directory)
    tokenizer = TextTokenizer(directory)
    room = manifest.max_tokens - tokenizer.special_tokens
    items = []
    for paragraphs in random.Random(seed).sample(list(articles), min(ARTICLES, len(articles))):
        sentences = [text[start:end] for text in paragraphs for start, end in split_sentences(text)]
        ids = [tokens.ids for tokens in tokenizer.encode(sentences)]
        if windows := cut_evenly(ids, room, tokenizer.special_tokens)[:WINDOWS]:
            items.append(to_arrays([windows], tokenizer, manifest.max_tokens))
    _quantise(directory, summariser_network(directory, manifest), items)


def _quantise(directory: Path, network: Network, items: Sequence[Arrays]) -> None:
    # Converting comes first: it is what switches off the telemetry that nncf shares.
    model = convert(network)
    import nncf

    nncf.set_log_level(logging.ERROR)
    quantised = nncf.quantize(
        model,
        nncf.Dataset(items),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(items),
    )
    save(quantised, directory / INT8_FILE)
    manifest = read_manifest(directory, check_hashes=False)
    write_manifest(directory, dataclasses.replace(manifest, files=hash_files(directory)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_training.quantise",
        description="Put an int8 network beside the weights of a summariser that has none.",
    )
    parser.add_argument("directory", type=Path, help="of the summariser; it is changed in place")
    parser.add_argument(
        "--articles",
        nargs="+",
        required=True,
        help="tables of articles, as tocsin train summariser reads them",
    )
    parser.add_argument("--seed", type=int, default=13, help="which articles are drawn (13)")
    options = parser.parse_args(arguments)
    try:
        manifest = read_manifest(options.directory)
        if manifest.task != "summariser":
            raise ModelError(f"{options.directory}: holds a {manifest.task}, not a summariser")
        if INT8_FILE in manifest.files:
            raise ModelError(f"{options.directory}: has an int8 network already")
        rows = [row for source in options.articles for row in read_summaries(source)]
        say(f"{len(rows)} articles, of which {min(ARTICLES, len(rows))} are drawn")
        quantise_summariser(options.directory, [row.paragraphs for row in rows], options.seed)
    except TocsinError as error:
        print(f"tocsin_training.quantise: {error}", file=sys.stderr)
        return 2
    say(f"{options.directory}: {read_manifest(options.directory).revision}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
