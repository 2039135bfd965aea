"""The server: a policy that several robots ask for action chunks, over gRPC.

Every client has its own noise; what it saw and what it has planned it keeps itself and sends along, so that a client
that comes back after its connection broke, or a server that was started anew, goes on where it was. The deadline of a
request is that of its gRPC call. Chunks that wait together are drawn together.
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, TextIO

import grpc
from torch import Generator

from suffuse.policy.errors import ObservationError, PolicyError, ServeError
from suffuse.policy.model.continuation import Continuation
from suffuse.policy.model.policy import DiffusionPolicy, OutOfBounds
from suffuse.policy.serve.batcher import Batcher, Drawn, LateError, Waiting
from suffuse.policy.serve.messages import HEALTH, MESSAGES, SERVICE, from_array, parse, to_array

LONGEST_S = 10.0
"""What a request without a deadline gets."""

SERVING, NOT_SERVING = 1, 2
"""Of gRPC's health protocol."""


class PolicyServer:
    """Serves a policy until it is closed; a context manager.

    Args:
        policy: what draws the chunks.
        address: `host:port`; port 0 takes a free one.
        clients: whose noise is remembered; beyond that, those not heard of for the longest are forgotten.
        batch: chunks drawn at once, at most.
        most_bytes: of a request.
        out_of_bounds: whether actions outside their bounds are clamped (and flagged) or the request is refused.
        trace: a file that gets a line of JSON for every request: who, how it ended, how long it waited and took.

    Raises ServeError if the address cannot be listened at.
    """

    def __init__(
        self,
        policy: DiffusionPolicy,
        *,
        address: str = "127.0.0.1:50051",
        clients: int = 64,
        batch: int = 32,
        most_bytes: int = 2**22,
        out_of_bounds: OutOfBounds = "clamp",
        trace: Path | None = None,
    ) -> None:
        self._policy, self._clients = policy, clients
        self._noise: OrderedDict[str, Generator] = OrderedDict()
        self._lock = threading.Lock()
        self._trace: TextIO | None = trace.open("a", encoding="utf-8") if trace is not None else None
        self._batcher = Batcher(policy, most=batch, out_of_bounds=out_of_bounds)
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=2 * clients, thread_name_prefix="suffuse-policy"),
            options=[("grpc.max_receive_message_length", most_bytes), ("grpc.so_reuseport", 0)],
            maximum_concurrent_rpcs=4 * clients,
        )
        self._server.add_generic_rpc_handlers(
            (
                _service(SERVICE, Describe=self._describe, Chunk=self._chunk),
                _service(HEALTH, Check=self._health),
            )
        )
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            self._batcher.close()
            raise ServeError(f"{address} cannot be listened at: {error}") from None
        self._server.start()

    def wait(self) -> None:
        """Serve until the process is ended."""
        self._server.wait_for_termination()

    def close(self) -> None:
        """Finish what is being drawn, refuse the rest, and let go of the port."""
        stopped = self._server.stop(grace=1.0)
        self._batcher.close()
        stopped.wait()
        if self._trace is not None:
            self._trace.close()
            self._trace = None

    def __enter__(self) -> "PolicyServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- calls

    def _health(self, request: bytes, context: grpc.ServicerContext) -> Any:
        del request, context
        return MESSAGES["HealthCheckResponse"](status=SERVING if self._batcher.alive else NOT_SERVING)

    def _describe(self, request: bytes, context: grpc.ServicerContext) -> Any:
        del request, context
        config = {name: value for name, value in self._policy.config.items() if not name.startswith("_")}
        return MESSAGES["Description"](config=json.dumps(config))

    def _chunk(self, request: bytes, context: grpc.ServicerContext) -> Any:
        began, who = time.monotonic(), ""
        remaining = context.time_remaining()
        until = began + (LONGEST_S if remaining is None else min(remaining, LONGEST_S))
        try:
            asked = parse("ChunkRequest", request)
            who = asked.client
            drawn = self._draw(asked, until, context).result(timeout=max(until - time.monotonic(), 0.0))
        except (FutureTimeoutError, LateError):
            self._note(who, "late", began)
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the chunk was not drawn in time")
        except (ObservationError, ServeError, ValueError) as error:
            refused = isinstance(error, ObservationError | ServeError) or not isinstance(error, PolicyError)
            self._note(who, "refused", began)
            code = grpc.StatusCode.INVALID_ARGUMENT if refused else grpc.StatusCode.FAILED_PRECONDITION
            context.abort(code, str(error))
        self._note(who, "answered", began, drawn)
        return MESSAGES["ChunkReply"](
            actions=from_array(drawn.actions), clamped=from_array(drawn.clamped),
            queue_ms=drawn.queue_ms, compute_ms=drawn.compute_ms, batch=drawn.batch,
        )  # fmt: skip

    def _draw(self, asked: Any, until: float, context: grpc.ServicerContext) -> "Future[Drawn]":
        """Queue what is asked for. Raises ServeError or ObservationError for what makes no sense."""
        if not 0 < len(asked.client) <= 200:
            raise ServeError(f"client has {len(asked.client)} characters; it must have 1 to 200")
        if twice := {one.name for one in asked.observations if sum(o.name == one.name for o in asked.observations) > 1}:
            raise ServeError(f"observation {min(twice)!r} is given twice")
        seen = self._policy.check_one({one.name: to_array(one.values, one.name) for one in asked.observations})
        continuation = None
        if asked.HasField("planned"):
            planned, size = to_array(asked.planned, "planned"), self._policy.config["action_size"]
            if planned.ndim != 2 or planned.shape[1] != size:
                raise ServeError(f"planned has shape {planned.shape}; it must be (any, {size})")
            continuation = Continuation(planned=planned.astype("float32"), fixed=asked.fixed)
        request = Waiting(
            observations=seen, generator=self._noise_of(asked), continuation=continuation, until=until,
            wanted=context.is_active,
        )  # fmt: skip
        return self._batcher.submit(request)

    def _noise_of(self, asked: Any) -> Generator:
        """The noise of a client, begun anew where it says so or is not known."""
        with self._lock:
            if asked.begin or asked.client not in self._noise:
                self._noise[asked.client] = Generator().manual_seed(asked.seed)
            self._noise.move_to_end(asked.client)
            while len(self._noise) > self._clients:
                self._noise.popitem(last=False)
            return self._noise[asked.client]

    def _note(self, who: str, how: str, began: float, drawn: Drawn | None = None) -> None:
        """A line of the trace."""
        if self._trace is None:
            return
        line: dict[str, Any] = {"at": time.time(), "client": who, "ended": how}
        line["total_ms"] = round((time.monotonic() - began) * 1000, 3)
        if drawn is not None:
            line |= {"queue_ms": round(drawn.queue_ms, 3), "compute_ms": round(drawn.compute_ms, 3)}
            line |= {"batch": drawn.batch, "clamped": int(drawn.clamped.sum())}
        with self._lock:
            if self._trace is not None:
                self._trace.write(json.dumps(line) + "\n")
                self._trace.flush()


def _service(name: str, **calls: Callable[[bytes, grpc.ServicerContext], Any]) -> grpc.GenericRpcHandler:
    """Handlers that are given the bytes of a request, so that bytes that make no sense are answered like all else."""
    return grpc.method_handlers_generic_handler(
        name,
        {
            call: grpc.unary_unary_rpc_method_handler(
                handler, request_deserializer=lambda data: data, response_serializer=lambda m: m.SerializeToString()
            )
            for call, handler in calls.items()
        },
    )
