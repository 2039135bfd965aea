"""The client: what a robot's control loop calls, one action a step, while chunks are drawn elsewhere.

A chunk is asked for before the last one is used up, and the robot goes on with what is planned meanwhile. Where the
connection breaks, the client asks again with the next observation until `patience_s` are over.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import numpy as np
from jaxtyping import Float32, Shaped

from suffuse.policy.errors import ActionError, ServeError
from suffuse.policy.model.receding_horizon import RecedingHorizon
from suffuse.policy.serve.blend import Blend, Plans
from suffuse.policy.serve.messages import HEALTH, MESSAGES, SERVICE, from_array, to_array

AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""How a call ends that may be tried again."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Of one chunk: from asking to getting it, and of that, waiting and drawing at the server; in milliseconds."""

    total_ms: float
    queue_ms: float
    compute_ms: float
    batch: int


class PolicyClient:
    """One robot at a server; a context manager.

    Args:
        address: of the server, `host:port`.
        period_s: a control step; with the latency, it tells how many planned actions are carried out meanwhile.
        ahead: a new chunk is asked for when this many actions or fewer are left, >= 0.
        blend: how overlapping chunks become one action; see `suffuse.policy.serve.blend`.
        deadline_s: of a request.
        patience_s: how long `act` waits for a server that does not answer, before it raises ServeError.
        name: by which the server knows the noise of this client; a new one by default.

    `latencies` holds those of all chunks, `missed` counts steps at which there was no action in time.
    """

    def __init__(
        self,
        address: str,
        *,
        period_s: float = 0.1,
        ahead: int = 3,
        blend: Blend = "latest",
        deadline_s: float = 1.0,
        patience_s: float = 10.0,
        name: str | None = None,
    ) -> None:
        if period_s <= 0 or deadline_s <= 0 or patience_s < 0 or ahead < 0:
            raise ValueError(
                f"period_s {period_s} and deadline_s {deadline_s} must be positive, patience_s {patience_s} and "
                f"ahead {ahead} not below 0"
            )
        Plans(blend)
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
        )
        self._address, self._period, self._ahead, self._blend = address, period_s, ahead, blend
        self._deadline, self._patience = deadline_s, patience_s
        self.name = name or uuid4().hex
        self._call = _caller(self._channel, SERVICE, "Chunk", "ChunkReply")
        self.latencies: list[Latency] = []
        self.missed = 0
        self._steps: int | None = None
        self.reset()

    def __enter__(self) -> "PolicyClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up what was asked for, and the connection."""
        if self._asked is not None:
            self._asked[1].cancel()
        self._channel.close()

    def healthy(self, *, timeout_s: float = 1.0) -> bool:
        """Whether the server answers, and would draw chunks."""
        check = _caller(self._channel, HEALTH, "Check", "HealthCheckResponse")
        try:
            return check(MESSAGES["HealthCheckRequest"](), timeout=timeout_s).status == 1
        except grpc.RpcError:
            return False

    def describe(self) -> dict[str, Any]:
        """The config of the policy. Raises ServeError if the server does not answer."""
        ask = _caller(self._channel, SERVICE, "Describe", "Description")
        try:
            answer = ask(MESSAGES["Empty"](), timeout=self._patience, wait_for_ready=True)
        except grpc.RpcError as error:
            raise ServeError(f"{self._address}: {_said(error)}") from None
        return dict(json.loads(answer.config))

    def reset(self, seed: int | None = None) -> None:
        """Begin an episode; with a seed, its noise can be had again."""
        self._seed = int(np.random.default_rng().integers(2**63)) if seed is None else seed
        self._begin, self._moment = True, -1
        self._plans = Plans(self._blend)
        self._asked: tuple[int, Any, float] | None = None
        self._past: RecedingHorizon | None = None

    def act(self, observation: Mapping[str, Shaped[np.ndarray, "..."]]) -> Float32[np.ndarray, " a"]:
        """The next action, after one more observation. Call it once every control step.

        Raises:
            ServeError: the observation is refused, or the server did not answer for `patience_s`.
            ActionError: the model gave actions that no robot should be sent.
        """
        if self._past is None:
            config = self.describe()
            self._past, self._names = RecedingHorizon(config["observation_steps"]), sorted(config["observations"])
        self._past.see({name: np.asarray(observation[name]) for name in self._names if name in observation})
        self._moment += 1
        self._collect()
        until = time.monotonic() + self._patience
        if self._asked is None and self._plans.left(self._moment) <= self._ahead:
            self._ask()
        waited = False
        while (action := self._plans.at(self._moment)) is None:
            self.missed += not waited and self._moment > 0
            waited = True
            if self._asked is None:
                if time.monotonic() > until:
                    raise ServeError(f"{self._address} did not answer for {self._patience:g} s")
                self._ask()
            self._collect(wait=True)
        return action

    def _ask(self) -> None:
        """Send for a chunk from this moment on."""
        assert self._past is not None
        seen = [MESSAGES["Named"](name=name, values=from_array(v)) for name, v in self._past.seen().items()]
        request = MESSAGES["ChunkRequest"](client=self.name, seed=self._seed, begin=self._begin, observations=seen)
        planned = self._plans.after(self._moment)
        if self._blend == "real-time" and planned:
            usual = max((one.total_ms for one in self.latencies[-10:]), default=0.0) / 1000
            request.planned.CopyFrom(from_array(np.stack(planned)))
            request.fixed = min(len(planned), 1 + int(usual / self._period))
        self._asked = self._moment, self._call.future(request, timeout=self._deadline), time.monotonic()

    def _collect(self, *, wait: bool = False) -> None:
        """Take in a chunk that has come; wait for it if told so."""
        if self._asked is None or not (wait or self._asked[1].done()):
            return
        (moment, call, since), self._asked = self._asked, None
        try:
            reply = call.result()
        except grpc.RpcError as error:
            if error.code() in AGAIN:
                time.sleep(0.02 if wait else 0.0)
                return
            kind = ActionError if error.code() == grpc.StatusCode.FAILED_PRECONDITION else ServeError
            raise kind(f"{self._address}: {_said(error)}") from None
        actions = to_array(reply.actions, "actions").astype(np.float32)
        if not np.isfinite(actions).all():
            raise ActionError(f"{self._address} sent an action that is not finite; nothing is sent to the robot")
        self._begin = False
        self._plans.add(moment, actions)
        self.latencies.append(
            Latency(
                total_ms=(time.monotonic() - since) * 1000, queue_ms=reply.queue_ms, compute_ms=reply.compute_ms,
                batch=reply.batch,
            )
        )  # fmt: skip


def _caller(channel: grpc.Channel, service: str, call: str, answer: str) -> Any:
    kind: Callable[[bytes], Any] = MESSAGES[answer].FromString
    return channel.unary_unary(
        f"/{service}/{call}", request_serializer=lambda m: m.SerializeToString(), response_deserializer=kind
    )


def _said(error: grpc.RpcError) -> str:
    """What the server said, on one line."""
    return f"{error.code().name.lower().replace('_', ' ')}: {' '.join((error.details() or '').split())[:300]}"
