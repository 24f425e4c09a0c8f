"""Every route of the service, once: what metrics and logs may call it, and who may come in."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """``scope`` is what a key must hold (None: no key is needed); ``is_scoring`` routes read a body
    and wait for the models; ``is_native`` ones are BentoML's own."""

    template: str
    scope: str | None = "score"
    is_scoring: bool = False
    is_native: bool = False


ROUTES = MappingProxyType(
    {
        route.template: route
        for route in (
            Route(template="/v1/analyse", is_scoring=True),
            Route(template="/v1/classify", is_scoring=True),
            Route(template="/v1/summarise", is_scoring=True),
            Route(template="/v1/models"),
            Route(template="/v1/labels"),
            Route(template="/classify", is_scoring=True, is_native=True),
            Route(template="/summarise", is_scoring=True, is_native=True),
            Route(template="/schema.json", is_native=True),
            Route(template="/livez", scope=None),
            Route(template="/readyz", scope=None),
            Route(template="/metrics", scope="metrics"),
            Route(template="/", scope=None),
            Route(template="/docs", scope=None),
            Route(template="/openapi.json", scope=None),
            Route(template="/assets", scope=None),
        )
    }
)
# A path that is none of ours: whatever a client sends, logs and metrics see this one name.
OTHER = Route(template="other")
TEMPLATES = (*ROUTES, OTHER.template)


def find_route(path: str) -> Route:
    """The route of a path."""
    if path.startswith("/assets/"):
        return ROUTES["/assets"]
    return ROUTES.get(path, OTHER)
