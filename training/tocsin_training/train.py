"""The commands of training: settings are read, places checked, then the recipe runs.

The recipes are imported late: torch takes seconds, and a mistyped setting is told before that.
"""

from collections.abc import Sequence
from pathlib import Path

from tocsin_eval.columns import parse_columns
from tocsin_eval.tables import Source
from tocsin_training.config import AdaptConfig, ClassifierConfig, SummariserConfig, load_config
from tocsin_training.output import check_out


def train_classifier(
    train: Sequence[Source],
    dev: Sequence[Source],
    base: str,
    out: Path,
    config: Path | None,
    overrides: Sequence[str],
    columns: Sequence[str] = (),
    soft: Sequence[Source] = (),
) -> None:
    """Fine-tune an encoder on labelled passages; see ``classifier.train_classifier``.

    Raises:
        ConfigError: a setting or ``columns`` is wrong (all that is is named), or ``out`` is not
            free.
    """
    settings = load_config(ClassifierConfig, config, overrides)
    named = parse_columns(columns)
    check_out(out)
    from tocsin_training import classifier

    classifier.train_classifier(train, dev, base, out, settings, named, soft)


def adapt_encoder(
    texts: Sequence[Source],
    without: Sequence[Source],
    base: str,
    out: Path,
    config: Path | None,
    overrides: Sequence[str],
) -> None:
    """Pre-train an encoder further on unlabelled text; see ``adapt.adapt_encoder``.

    Raises:
        ConfigError: a setting is wrong (all that is is named), or ``out`` is not free.
    """
    settings = load_config(AdaptConfig, config, overrides)
    check_out(out)
    from tocsin_training import adapt

    adapt.adapt_encoder(texts, without, base, out, settings)


def write_soft_targets(
    texts: Sequence[Source],
    without: Sequence[Source],
    teachers: Sequence[Path | None],
    out: Path,
    *,
    count: int,
    swaps: int,
    seed: int,
) -> None:
    """Score unlabelled passages for a student; see ``teach.write_soft_targets``. A teacher that is
    None is the embedded classifier.

    Raises:
        ModelNotFound, ModelDamaged: a teacher cannot be used.
    """
    from tocsin_models.classifier import load_classifier
    from tocsin_training import teach

    loaded = [load_classifier(teacher, hint="throughput") for teacher in teachers]
    teach.write_soft_targets(texts, without, loaded, out, count=count, swaps=swaps, seed=seed)


def train_summariser(
    train: Sequence[Source],
    dev: Sequence[Source],
    base: str,
    out: Path,
    config: Path | None,
    overrides: Sequence[str],
    columns: Sequence[str] = (),
) -> None:
    """Train an encoder to choose sentences; see ``summariser.train_summariser``.

    Raises:
        ConfigError: a setting or ``columns`` is wrong (all that is is named), or ``out`` is not
            free.
    """
    settings = load_config(SummariserConfig, config, overrides)
    named = parse_columns(columns)
    check_out(out)
    from tocsin_training import summariser

    summariser.train_summariser(train, dev, base, out, settings, named)
