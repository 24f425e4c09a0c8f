"""One way to run ``transformers.Trainer``, for every model that is trained here.

Trainer (with accelerate beneath it) is used because several GPUs are then a launch flag:
``accelerate launch -m tocsin_serving.cli train …``.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import Trainer, TrainingArguments, set_seed

from tocsin_training.config import RunConfig

Example = Mapping[str, Any]
Collator = Callable[[Sequence[Example]], dict[str, torch.Tensor]]


def fit(
    model: torch.nn.Module,
    encoder: torch.nn.Module,
    examples: Sequence[Example],
    collate: Collator,
    config: RunConfig,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
) -> torch.nn.Module:
    """Train ``model`` in place on ``examples`` (each with ``input_ids``) and return it on the CPU.

    ``loss`` of logits and labels takes the place of the model's own. ``encoder`` is the part that
    comes pretrained; the rest learns at the rate of the head. Examples of like length share a
    batch. Progress is a bar on standard error.
    """
    set_seed(config.seed)
    set_dropout(model, config.dropout)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
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
            save_strategy="no",
            report_to="none",
            logging_steps=50,
            remove_unused_columns=False,
            label_names=["labels"],
            # A loss of ours is a mean already; Trainer would multiply it by the number of GPUs.
            average_tokens_across_devices=False,
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=list(examples),
            data_collator=collate,
            compute_loss_func=None if loss is None else _with_outputs(loss),
            optimizers=(torch.optim.AdamW(parameter_groups(model, encoder, config)), None),
        )
        # Both models return the mean over their own rows; Trainer would pass them a count else.
        trainer.model_accepts_loss_kwargs = False
        trainer.train()
    return model.to("cpu").float().eval()


def _with_outputs(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Any:
    def of_outputs(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> Any:
        return loss(outputs.logits, labels)

    return of_outputs


def parameter_groups(
    model: torch.nn.Module, encoder: torch.nn.Module, config: RunConfig
) -> list[dict[str, Any]]:
    """Parameters of the encoder and of the head, each with its learning rate.

    A pooler counts as head: bases trained by mean pooling never used theirs.
    """
    inside = {
        id(parameter)
        for name, parameter in encoder.named_parameters()
        if not name.startswith("pooler.")
    }
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for parameter in model.parameters():
        groups[id(parameter) in inside].append(parameter)
    rates = {True: config.learning_rate, False: config.head_learning_rate}
    return [
        {"params": groups[is_encoder], "lr": rate, "weight_decay": config.weight_decay}
        for is_encoder, rate in rates.items()
    ]


def set_dropout(model: torch.nn.Module, share: float) -> None:
    """Set every dropout of a network (encoder families each name theirs differently in config)
    but those on attention weights: drawing these took a quarter of a step on a CPU, so they are 0.
    """
    for parent in model.modules():
        is_attention = "Attention" in type(parent).__name__
        for module in parent.children():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0 if is_attention else share
        if isinstance(parent, torch.nn.MultiheadAttention):
            parent.dropout = 0.0
