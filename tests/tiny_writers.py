"""Random encoder-decoders of the four families that newsrooms use, thin enough to be built and run
in a second: real code of ``transformers``, no download."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEXT = (
    "The ministry denied arming the group and accused the army of shelling the port.",
    "We will answer every strike, the commander vowed, and the talks were suspended.",
    "Some 5,000 people had left Dibbat by Friday, the mission of the envoy said.",
)
FAMILIES = ("bart", "t5", "pegasus", "led")


def build(family: str, folder: Path, task: Mapping[str, Any] | None = None) -> Path:
    """A model directory with random weights; ``task`` is what it says of summarization."""
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=64,
    )
    fast.save_pretrained(folder)
    told: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size(), "d_model": 16}
    told |= {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    if task is not None:
        told["task_specific_params"] = {"summarization": dict(task)}
    both: dict[str, Any] = {"max_position_embeddings": 128}
    for half in ("encoder", "decoder"):
        both |= {f"{half}_layers": 1, f"{half}_ffn_dim": 32, f"{half}_attention_heads": 2}
        both[f"max_{half}_position_embeddings"] = 128
    torch.manual_seed(0)
    model: Any
    if family == "bart":
        model = hf.BartForConditionalGeneration(hf.BartConfig(**told, **both))
    elif family == "t5":
        narrow = hf.T5Config(**told, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        model = hf.T5ForConditionalGeneration(narrow)
    elif family == "pegasus":
        model = hf.PegasusForConditionalGeneration(hf.PegasusConfig(**told, **both))
    else:
        local = hf.LEDConfig(**told, **both, attention_window=[8])
        model = hf.LEDForConditionalGeneration(local)
    model.save_pretrained(folder)
    return folder
