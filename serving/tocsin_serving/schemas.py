"""What callers may send: pydantic models, strict about fields, types and ranges.

They are made for the labels of the classifier that is served, so that the OpenAPI document names
them. Messages of validation never repeat a value, and a field's name only where it is one of ours.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tocsin_models.analyse import Options
from tocsin_models.protocols import Style
from tocsin_models.records import Article
from tocsin_serving.problems import FieldError, Problem

MOST_PASSAGES = 256
MOST_PARAGRAPHS = 5_000
MOST_WORDS = 2_000
MOST_SENTENCES = 100
# A passage is a paragraph; what is longer than this is an article, or no text.
MOST_PASSAGE_CHARACTERS = 100_000

# One character that is not white space by the rules of Python, nor by those of ECMAScript, which
# JSON Schema's patterns follow: the two differ in the characters that stand here by number.
_NOT_BLANK = r"[^\s\u001c-\u001f\u0085\ufeff]"
_MOST_ERRORS = 20
_MANY_ERRORS = 1_000

Model = TypeVar("Model", bound=BaseModel)


def _whole(value: Any) -> Any:
    """JSON Schema's integer: 3 and 3.0, but neither true nor "3"."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        raise PydanticCustomError("int_type", "Input should be a whole number")
    return int(value)


def _not_blank(value: str) -> str:
    if not re.search(_NOT_BLANK, value):
        raise PydanticCustomError("blank", "nothing but white space; send some text")
    return value


Text = Annotated[str, AfterValidator(_not_blank), Field(json_schema_extra={"pattern": _NOT_BLANK})]
Words = Annotated[
    int,
    Field(ge=1, le=MOST_WORDS, description="Most words of the summary."),
    BeforeValidator(_whole),
]
Sentences = Annotated[
    int,
    Field(ge=1, le=MOST_SENTENCES, description="Most sentences of the summary."),
    BeforeValidator(_whole),
]
Id = Annotated[
    str,
    Field(
        pattern=r"^[!-~]{1,200}$",
        description="Yours, to know the answer by: 1 to 200 printable ASCII characters, no blanks.",
    ),
]


class Strict(BaseModel):
    """Unknown fields are refused, types are not converted, errors do not repeat the input."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def _one_source(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": [name]} for name in ("text", "html", "paragraphs")]
    for name in ("id", "text", "html", "paragraphs", "max_words", "max_sentences"):
        # It stands for what was not given, and is no value that may be.
        del schema["properties"][name]["default"]


class ArticleRequest(Strict):
    """An article as ``text``, ``html`` or ``paragraphs``: exactly one of them."""

    model_config = ConfigDict(json_schema_extra=_one_source)

    id: Id = Field(default="", validate_default=False)
    text: Text = Field(
        default="",
        description="Plain text; blank lines separate paragraphs. Offsets in the answer count its "
        "Unicode code points.",
    )
    html: Text = Field(
        default="",
        description="A page or a fragment; offsets point into the "
        "extracted text that the answer carries as `text`.",
    )
    paragraphs: list[str] = Field(
        default=[],
        min_length=1,
        max_length=MOST_PARAGRAPHS,
        description="One string a paragraph, at least one of them not blank; joined by blank lines "
        "in the answer's `text`.",
        json_schema_extra={"contains": {"type": "string", "pattern": _NOT_BLANK}},
    )
    style: Style = Field(
        default="short",
        description="Length of the summary: `headline`, one sentence; `short`, 2 or 3 of 40 to 80 "
        "words; `standard`, up to 120 words. `max_words` and `max_sentences` win over it.",
    )
    max_words: Words = Field(default=0, validate_default=False)
    max_sentences: Sentences = Field(default=0, validate_default=False)
    strict_language: bool = Field(
        default=False,
        description="Refuse an article in a language that the models do not read, instead of "
        "warning of it.",
    )

    @model_validator(mode="after")
    def _check_source(self) -> "ArticleRequest":
        given = self.model_fields_set & {"text", "html", "paragraphs"}
        if len(given) != 1:
            raise PydanticCustomError("one_source", "give exactly one of text, html and paragraphs")
        if given == {"paragraphs"} and not any(
            re.search(_NOT_BLANK, item) for item in self.paragraphs
        ):
            raise PydanticCustomError("blank", "every paragraph is blank; send some text")
        return self

    def to_article(self, default_id: str) -> Article:
        name = self.id or default_id
        if self.html:
            return Article(id=name, text=self.html, format="html")
        if self.paragraphs:
            return Article(id=name, format="paragraphs", paragraphs=tuple(self.paragraphs))
        return Article(id=name, text=self.text)

    def to_options(self) -> Options:
        return Options(
            max_sentences=self.max_sentences or None,
            max_words=self.max_words or None,
            style=self.style,
            focus=tuple(getattr(self, "focus", ())),
            strict_language=self.strict_language,
            labels=tuple(getattr(self, "labels", ())),
            thresholds=getattr(self, "thresholds", {}),
        )


class NativeSummariseRequest(Strict):
    """What BentoML's own clients send to its route for summaries."""

    text: Text
    max_words: Words | None = None
    max_sentences: Sentences | None = None
    style: Style | None = None


class PassageRequest(Strict):
    """One passage. A blank or overlong text is an error of this passage alone."""

    id: Id
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schemas:
    """Request models of a service whose classifier has certain labels."""

    analyse: type[ArticleRequest]
    summarise: type[ArticleRequest]
    classify: type[Strict]


def make_schemas(labels: Sequence[str]) -> Schemas:
    """The models for these labels."""
    label = Literal[tuple(labels)]  # type: ignore[valid-type]
    share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    thresholds: Any = (
        dict[label, share],  # type: ignore[valid-type]
        Field(default={}, description="From which score a label is set, in place of the model's."),
    )
    chosen: Any = (
        list[label],  # type: ignore[valid-type]
        Field(
            default=[],
            max_length=len(labels),
            description="Answer only about these labels; all of them where the list is empty.",
        ),
    )
    focus: Any = (
        list[label],  # type: ignore[valid-type]
        Field(
            default=[],
            max_length=len(labels),
            description="Prefer passages that carry one of these labels in the summary; `warnings` "
            "says so where none does.",
        ),
    )
    passages: Any = (
        list[PassageRequest],
        Field(min_length=1, max_length=MOST_PASSAGES, description="What to label, in order."),
    )
    return Schemas(
        analyse=create_model(
            "AnalyseRequest",
            __base__=ArticleRequest,
            __doc__=ArticleRequest.__doc__,
            labels=chosen,
            thresholds=thresholds,
            focus=focus,
        ),
        summarise=ArticleRequest,
        classify=create_model(
            "ClassifyRequest",
            __base__=Strict,
            __doc__="Passages, each to be labelled as it stands: nothing is dropped.",
            passages=passages,
            labels=chosen,
            thresholds=thresholds,
        ),
    )


def parse(schema: type[Model], body: bytes) -> Model:
    """The request in ``body``, which is JSON in UTF-8.

    Raises:
        Problem: invalid_request, with every problem, each with its field and none with its value.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() > _MANY_ERRORS:
            # To list them takes seconds, in which nobody else is answered.
            raise Problem(
                "invalid_request", "the body has thousands of fields that this route does not read"
            ) from None
        known = _names(schema)
        errors = [
            FieldError(field=_path(item["loc"], known) or "body", message=_message(item, schema))
            for item in error.errors(include_input=False, include_url=False)[:_MOST_ERRORS]
        ]
    raise Problem(
        "invalid_request", "the body is not what this route reads; see errors", errors=errors
    )


def _message(item: Any, schema: type[BaseModel]) -> str:
    if item["type"] != "extra_forbidden":
        return str(item["msg"])
    name = str(item["loc"][-1])
    if name == "focus" and len(item["loc"]) == 1:
        return "nothing is labelled here, so no passage can be preferred; send it to /v1/analyse"
    owner = PassageRequest if len(item["loc"]) > 1 else schema
    near = difflib.get_close_matches(name, owner.model_fields, n=1)
    fields = ", ".join(owner.model_fields)
    return f"unknown field; did you mean {near[0]}?" if near else f"unknown field, not of {fields}"


def _names(schema: type[BaseModel]) -> set[str]:
    """Names that a message may repeat: ours. Any other may be copy in the wrong place."""
    return {*schema.model_fields, *PassageRequest.model_fields, "focus"}


def _path(location: Sequence[int | str], known: set[str]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in known:
            path += f".{part}" if path else part
    return path
