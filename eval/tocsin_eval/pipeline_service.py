"""The baseline of ``bench_http``: what serving a classifier with BentoML looks like today.

Written as the service of BentoML's quickstart is (docs.bentoml.com, "Hello world"): a
``transformers`` pipeline made once, called once a request in an ``@bentoml.api`` method, with the
quickstart's resources and time limit. Batching is left off, as it is there. The weights run in
float32, as in ``speed.py``: they are stored in float16, which transformers would run at a third of
its speed on a CPU.

    bentoml serve tocsin_eval.pipeline_service:PlainPipeline
"""

import os
from typing import Any

import bentoml

from tocsin_eval.http_server import MODEL_VARIABLE
from tocsin_models.manifest import EMBEDDED

with bentoml.importing():
    import torch
    from transformers import pipeline


@bentoml.service(resources={"cpu": "2"}, traffic={"timeout": 30})
class PlainPipeline:
    def __init__(self) -> None:
        model = os.environ.get(MODEL_VARIABLE) or str(EMBEDDED["classifier"])
        self.pipeline = pipeline(
            "text-classification",
            model=model,
            tokenizer=model,
            dtype=torch.float32,
            device="cpu",
            top_k=None,
            function_to_apply="sigmoid",
        )

    @bentoml.api  # type: ignore[untyped-decorator]
    def classify(self, text: str) -> list[dict[str, Any]]:
        results: list[Any] = self.pipeline(text)
        return results[0]  # type: ignore[no-any-return]
