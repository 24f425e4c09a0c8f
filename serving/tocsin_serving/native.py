"""BentoML's own routes, held to the public contract.

Left to itself BentoML ignores unknown fields, logs pieces of a malformed body and answers errors in
a shape of its own. So the door checks a body before BentoML sees it, and a refusal is left in the
call, where the door finds it.
"""

from typing import Any

from tocsin_models.errors import TocsinError
from tocsin_serving.calls import Call
from tocsin_serving.desk import Desk
from tocsin_serving.problems import Problem, to_problem
from tocsin_serving.schemas import ArticleRequest, NativeSummariseRequest, parse


def check_body(desk: Desk, template: str, body: bytes) -> None:
    """
    Raises:
        Problem: invalid_request; the body is not what the native route reads.
    """
    parse(desk.schemas.classify if template == "/classify" else NativeSummariseRequest, body)


async def classify(desk: Desk, call: Call, **fields: Any) -> dict[str, Any]:
    """As POST /v1/classify; empty where ``call.problem`` says why not."""
    try:
        return dict(await desk.classify(desk.schemas.classify.model_validate(fields), call))
    except (Problem, TocsinError) as error:
        return _refuse(error, call)


async def summarise(desk: Desk, call: Call, **fields: Any) -> dict[str, Any]:
    """As POST /v1/summarise; empty where ``call.problem`` says why not."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return await desk.summarise(ArticleRequest.model_validate(given), call)
    except (Problem, TocsinError) as error:
        return _refuse(error, call)


def _refuse(error: Problem | TocsinError, call: Call) -> dict[str, Any]:
    call.problem = error if isinstance(error, Problem) else to_problem(error)
    return {}
