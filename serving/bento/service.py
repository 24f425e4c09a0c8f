"""What BentoML starts from the Bento: the service of the installed wheel, safe wherever it starts.

`tocsin serve` takes care of all this; `bentoml serve` of the Bento does not pass through it.
"""

import os

# Else a worker that cannot start is started again once a second, while the port takes requests.
os.environ.setdefault("BENTOML_CONTAINERIZED", "true")
# A server that others can reach is what a Bento is for, and there the settings demand keys.
os.environ["TOCSIN_SERVE_HOST"] = os.environ.get("TOCSIN_SERVE_HOST") or "0.0.0.0"

from tocsin_serving.service import Tocsin

__all__ = ["Tocsin"]
