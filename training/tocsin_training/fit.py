"""One way to run ``transformers.Trainer``, for every model that is trained here.

Trainer (with accelerate beneath it) is used because several GPUs are then a launch flag:
``accelerate launch -m tocsin_serving.cli train …``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.integrations.integration_utils import TensorBoardCallback

from tocsin_models import hub
from tocsin_models.errors import ConfigError
from tocsin_training.config import RunConfig

Example = Mapping[str, Any]
Collator = Callable[[Sequence[Example]], dict[str, torch.Tensor]]

# A checkpoint every so many steps, of which the last is kept: on two cores about three minutes of
# work, and the half second of writing it does not tell.
SAVE_STEPS = 200


def check_length(base: str, config: RunConfig) -> None:
    """
    Raises:
        ConfigError: windows of ``max_tokens`` are longer than what ``base`` has positions for.
        ModelNotFound: ``base`` cannot be loaded.
    """
    room = hub.longest_input(base)
    if room is not None and config.max_tokens > room:
        raise ConfigError(
            "settings",
            [
                f"max_tokens: {config.max_tokens} is more than the {room} tokens that {base} has "
                f"positions for; set max_tokens={room} or less, or choose another base"
            ],
        )


def fit(
    model: torch.nn.Module,
    encoder: torch.nn.Module,
    examples: Any,
    collate: Collator,
    config: RunConfig,
    work: Path,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
) -> torch.nn.Module:
    """Train ``model`` in place on ``examples`` (each with ``input_ids``) and return it on the CPU.

    ``examples`` have a length and are indexed; where they have an ``epoch`` it is kept up to date.
    ``loss`` of logits and labels takes the place of the model's own. ``encoder`` is the part that
    comes pretrained; the rest learns at the rate of the head. Examples of like length share a
    batch. Progress is a bar on standard error. Checkpoints go to ``work``, whose name is the
    stage's: a run that was killed goes on from the last one there.
    """
    set_seed(config.seed)
    set_dropout(model, config.dropout)
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=config.epochs,
        max_steps=config.max_steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_fraction,
        per_device_train_batch_size=config.batch_size,
        train_sampling_strategy="group_by_length",
        bf16=config.bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=config.seed,
        data_seed=config.seed,
        save_strategy="steps",
        save_steps=SAVE_STEPS,
        save_total_limit=1,
        report_to="none",
        logging_steps=50,
        remove_unused_columns=False,
        label_names=["labels"],
        # A loss of ours is a mean already; Trainer would multiply it by the number of GPUs.
        average_tokens_across_devices=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # Fused: on two cores the step of the plain one took a tenth of the time.
    optimizer = torch.optim.AdamW(parameter_groups(model, encoder, config), fused=True)
    order = torch.Generator()
    trainer = _Trainer(
        order,
        model=model,
        args=arguments,
        train_dataset=examples,
        data_collator=collate,
        compute_loss_func=None if loss is None else _with_outputs(loss),
        optimizers=(optimizer, None),
        callbacks=[_BeginEpoch(examples, order), *_tensorboard(config, work.name)],
    )
    # Both models return the mean over their own rows; Trainer would pass them a count else.
    trainer.model_accepts_loss_kwargs = False
    trainer.train(resume_from_checkpoint=_last_checkpoint(work))
    return model.to("cpu").float().eval()


def _last_checkpoint(work: Path) -> str | None:
    """The last whole one: Trainer writes into the directory itself, its state as the last file."""
    whole: dict[int, Path] = {}
    for state in work.glob("checkpoint-*/trainer_state.json"):
        try:
            whole[json.loads(state.read_text(encoding="utf-8"))["global_step"]] = state.parent
        except (ValueError, KeyError):
            continue  # killed while it was written
    return str(whole[max(whole)]) if whole else None


class _Trainer(Trainer):
    """Draws the order of the rows from a generator of its own: transformers draws it from the one
    that dropout draws from too, so that a run that goes on would shuffle its epoch otherwise than
    the run did that it goes on from, and read some rows twice and others never."""

    def __init__(self, order: torch.Generator, **others: Any) -> None:
        super().__init__(**others)
        self._order = order

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        sampler: Any = super()._get_train_sampler(train_dataset)
        sampler.generator = self._order
        return sampler


class _BeginEpoch(TrainerCallback):
    """Tells the examples which epoch it is, so that each draws its names afresh, and seeds the
    order of their rows by it."""

    def __init__(self, examples: Any, order: torch.Generator) -> None:
        self._examples = examples
        self._order = order

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        epoch = int(state.epoch or 0)
        self._order.manual_seed(args.data_seed * 1_000_003 + epoch)
        if hasattr(self._examples, "epoch"):
            self._examples.epoch = epoch


def check_tensorboard(config: RunConfig) -> None:
    """Refuse a log that cannot be written, before anything is trained.

    Raises:
        ConfigError: ``tensorboard`` is set, and the package is not installed.
    """
    if not config.tensorboard:
        return
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise ConfigError(
            "settings",
            ["tensorboard: the package is not installed; pip install tensorboard, or leave it out"],
        ) from None


def _tensorboard(config: RunConfig, stage: str) -> list[TrainerCallback]:
    """A log of each stage in a folder of its own: folds in one would be one zigzag line."""
    check_tensorboard(config)
    if not config.tensorboard:
        return []
    from torch.utils.tensorboard import SummaryWriter

    return [TensorBoardCallback(SummaryWriter(str(Path(config.tensorboard) / stage)))]


def _with_outputs(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Any:
    def of_outputs(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> Any:
        return loss(outputs.logits, labels)

    return of_outputs


def parameter_groups(
    model: torch.nn.Module, encoder: torch.nn.Module, config: RunConfig
) -> list[dict[str, Any]]:
    """Parameters of the encoder, layer by layer, and of the head, each with its learning rate.

    The rate falls by ``config.layer_decay`` with each layer downwards (Howard & Ruder 2018,
    "Universal language model fine-tuning"); embeddings lie below the lowest. A pooler counts as
    head: bases trained by mean pooling never used theirs.
    """
    layer_of = {
        id(parameter): _layer(name)
        for name, parameter in encoder.named_parameters()
        if not name.startswith("pooler.")
    }
    top = max((layer for layer in layer_of.values() if layer is not None), default=0)
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for parameter in model.parameters():
        rate = config.head_learning_rate
        if id(parameter) in layer_of:
            layer = layer_of[id(parameter)]
            below = 0 if layer is None else top - layer
            rate = config.learning_rate * config.layer_decay**below
        groups.setdefault(rate, []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": config.weight_decay}
        for rate, parameters in groups.items()
    ]


def _layer(name: str) -> int | None:
    """The number of a parameter's layer from below, 1 the lowest, 0 for embeddings: every family
    of encoders has it as the first number in the parameter's name. None for a norm above all."""
    number = re.search(r"\.(\d+)\.", name)
    if number is None and name.startswith("final_"):
        return None
    return int(number[1]) + 1 if number else 0


def set_dropout(model: torch.nn.Module, share: float) -> None:
    """Set every dropout of a network (encoder families each name theirs differently in config)
    but those on attention weights: drawing these took a quarter of a step on a CPU, so they are 0.
    """
    for parent in list(model.modules()):
        is_attention = "Attention" in type(parent).__name__
        for name, module in parent.named_children():
            if isinstance(module, torch.nn.Dropout) and is_attention:
                module.p = 0.0
            elif isinstance(module, torch.nn.Dropout):
                setattr(parent, name, ByteDropout(share))
        if isinstance(parent, torch.nn.MultiheadAttention):
            parent.dropout = 0.0


class ByteDropout(torch.nn.Module):
    """Dropout (Srivastava et al. 2014) that draws one byte an activation, the share rounded to
    1/256: on two cores drawing a float for each took a sixth of a step."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._dropped = min(round(share * 256), 255)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if not self.training or not self._dropped:
            return values
        words = torch.empty(-(-values.numel() // 8), dtype=torch.int64, device=values.device)
        # From the least number to the greatest: every bit is drawn.
        noise = words.random_(-(2**63), None).view(torch.uint8)[: values.numel()]
        kept = (noise >= self._dropped).to(values.dtype).mul_(256 / (256 - self._dropped))
        return values * kept.view(values.shape)
