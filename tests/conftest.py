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


# The word pieces of the tiny base, written out: the library's trainer breaks ties otherwise in each
# process, so that every tiny model of the tests was another one in each run.
_PIECES = """
, . a ac accus accused an and answ answer ar arm arming army c co comm commander d de denied e ev
every f g gr grou group h i k l m min minis ministry n o of p po port r s she shelling str strik
strike sus suspend suspended t ta talk talks the u v vo vowed w we wer were wi will y ##a ##and
##ander ##c ##cus ##d ##e ##ed ##end ##er ##ery ##f ##g ##h ##he ##i ##ied ##ik ##in ##ing ##is
##k ##l ##lk ##ll ##lling ##m ##mm ##n ##nd ##nied ##o ##ou ##p ##pend ##r ##rt ##s ##sw ##t ##tr
##try ##u ##us ##v ##w ##wed ##y
"""


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two thin layers with a tokenizer of its own: real code, no download."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-base")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {piece: number for number, piece in enumerate([*special, *_PIECES.split()])}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
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
