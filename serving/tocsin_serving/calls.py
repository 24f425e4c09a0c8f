"""One request on its way through the service: its deadline, and what is measured of it."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from tocsin_serving.problems import Problem, deadline_exceeded
from tocsin_serving.tracing import Stage, Times

# In the order in which Server-Timing names them.
STAGES: tuple[Stage, ...] = ("queue", "tokenise", "infer")


@dataclass(slots=True, kw_only=True)
class Call:
    """Filled in as the request goes. ``deadline`` and the times of ``stages`` are of
    ``time.monotonic``; ``timeout_s`` is how long after its arrival the deadline is, at most
    ``max_timeout_s``; ``is_read`` says that nothing of the body is still to come; ``problem`` is
    why it was refused."""

    request_id: str
    route: str
    deadline: float
    timeout_s: float
    max_timeout_s: float
    is_read: bool = False
    key: str | None = None
    passages: int | None = None
    tokens: int | None = None
    stages: dict[Stage, Times] = field(default_factory=dict)
    problem: Problem | None = None

    def milliseconds(self, stage: Stage) -> float:
        """What a stage took; 0 where it was not reached."""
        started, ended = self.stages.get(stage, (0.0, 0.0))
        return 1000 * (ended - started)

    def too_late(self) -> Problem:
        """What is answered once the deadline has passed."""
        return deadline_exceeded(self.timeout_s, self.max_timeout_s)

    @property
    def server_timing(self) -> str:
        """The header of that name, in milliseconds (W3C Server Timing)."""
        return ", ".join(f"{stage};dur={self.milliseconds(stage):.1f}" for stage in STAGES)


# The host's own routes hand nothing of ours through, so a call travels in the context.
CALL: ContextVar[Call] = ContextVar("call")
