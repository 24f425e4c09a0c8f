"""Every test runs offline and leaves the user's own files alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Read by huggingface_hub and transformers when they are first imported, so set before any test
# module is: a test that would reach for the Hub fails at once instead of passing by luck.
os.environ["HF_HUB_OFFLINE"] = "1"

# The fixtures that start the real service.
pytest_plugins = ["tests.server"]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top folder of the working copy, which holds what the wheel does not: corpus, lock."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of compiled models for this run alone, also for the commands that tests start."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOCSIN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two thin layers with a tokenizer of its own: real code, no download."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-base")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    sentences = [
        "The ministry denied arming the group and accused the army of shelling the port.",
        "We will answer every strike, the commander vowed, and the talks were suspended.",
    ]
    tokenizer.train_from_iterator(
        sentences, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special)
    )
    # The trainer numbers its pieces otherwise in each process, and with them every tiny model would
    # be another: once one was so ill-conditioned that float32 sums in another order showed.
    pieces = [*special, *sorted(tokenizer.get_vocab().keys() - set(special))]
    numbered = {piece: number for number, piece in enumerate(pieces)}
    tokenizer.model = models.WordPiece(vocab=numbered, unk_token="[UNK]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": token for name, token in names.items()}
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=36,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=72,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder
