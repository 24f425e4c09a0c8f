"""One request on its way through the service: its deadline, and what is measured of it."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from tocsin_serving.problems import Problem
from tocsin_serving.tracing import Stage, Times

# In the order in which Server-Timing names them.
STAGES: tuple[Stage, ...] = ("queue", "tokenise", "infer")


@dataclass(slots=True, kw_only=True)
class Call:
    """Filled in as the request goes. ``deadline`` and the times of ``stages`` are of
    ``time.monotonic``; ``problem`` is why it was refused."""

    request_id: str
    route: str
    deadline: float
    key: str | None = None
    passages: int | None = None
    tokens: int | None = None
    stages: dict[Stage, Times] = field(default_factory=dict)
    problem: Problem | None = None

    def milliseconds(self, stage: Stage) -> float:
        """What a stage took; 0 where it was not reached."""
        started, ended = self.stages.get(stage, (0.0, 0.0))
        return 1000 * (ended - started)

    @property
    def server_timing(self) -> str:
        """The header of that name, in milliseconds (W3C Server Timing)."""
        return ", ".join(f"{stage};dur={self.milliseconds(stage):.1f}" for stage in STAGES)


# The host's own routes hand nothing of ours through, so a call travels in the context.
CALL: ContextVar[Call] = ContextVar("call")
