"""A classifier in int8 for processors that have it, made once in training: users never quantise.

Post-training quantisation by NNCF: weights and activations of the matrix products become 8-bit
integers, the ranges of the activations being read off passages. The only file that imports nncf.
"""

import dataclasses
import logging
import random
from collections.abc import Sequence
from pathlib import Path

from tocsin_models.backends import convert, save
from tocsin_models.classifier import INT8_FILE, classifier_network, pad_windows
from tocsin_models.manifest import hash_files, read_manifest, write_manifest
from tocsin_models.tokens import TextTokenizer, padded_length

# Passages the ranges are read off; NNCF's own default.
SAMPLE = 300


def quantise_classifier(directory: Path, texts: Sequence[str], seed: int) -> None:
    """Put the int8 network of a model directory beside its weights, and into its manifest."""
    manifest = read_manifest(directory)
    tokenizer = TextTokenizer(directory)
    room = manifest.max_tokens - tokenizer.special_tokens
    drawn = random.Random(seed).sample(list(texts), min(SAMPLE, len(texts)))
    items = []
    for tokens in tokenizer.encode(drawn):
        window = tokenizer.frame(tokens.ids[:room])
        length = padded_length(len(window), manifest.max_tokens)
        items.append(pad_windows([window], length, tokenizer.padding_id))
    # Converting comes first: it is what switches off the telemetry that nncf shares.
    model = convert(classifier_network(directory, manifest))
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
    write_manifest(directory, dataclasses.replace(manifest, files=hash_files(directory)))
