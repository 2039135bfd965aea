"""A server and its clients, over real connections."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from torch import Generator

from suffuse.policy import ActionError, DiffusionPolicy
from suffuse.policy.errors import ServeError
from suffuse.policy.serve import PolicyClient, PolicyServer
from suffuse.policy.serve.messages import MESSAGES, SERVICE, from_array


def seen(number: int = 0) -> dict[str, np.ndarray]:
    """One observation, another one for each number."""
    rng = np.random.default_rng(number)
    return {"state": rng.normal(size=3), "keypoint": rng.normal(size=(4, 2))}


def connect(server: PolicyServer, **settings: Any) -> PolicyClient:
    return PolicyClient(f"127.0.0.1:{server.port}", **{"patience_s": 5.0, "deadline_s": 5.0, **settings})


def ask(server: PolicyServer, request: bytes, *, timeout: float = 5.0) -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        return channel.unary_unary(f"/{SERVICE}/Chunk")(request, timeout=timeout)


def refused(server: PolicyServer, request: bytes, **settings: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(server, request, **settings)
    return caught.value.code(), caught.value.details()


def request(**changes: Any) -> Any:
    windows = {name: np.stack([values] * 2) for name, values in seen().items()}
    named = [MESSAGES["Named"](name=name, values=from_array(values)) for name, values in windows.items()]
    return MESSAGES["ChunkRequest"](**{"client": "one", "seed": 3, "observations": named, **changes})


def test_a_client_does_what_select_action_does(server: PolicyServer, policy: DiffusionPolicy) -> None:
    """With a chunk asked for only when the last is used up, action by action."""
    policy.reset(seed=5)
    expected = [policy.select_action(seen(number)) for number in range(10)]
    with connect(server, ahead=0) as client:
        assert client.healthy()
        assert client.describe()["horizon"] == 8
        client.reset(seed=5)
        found = [client.act(seen(number)) for number in range(10)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        client.reset(seed=5)
        np.testing.assert_allclose(client.act(seen(0)), expected[0], rtol=1e-5, atol=1e-5)
        assert len(client.latencies) == 4
        assert np.abs(np.array(found)[:, 0]).max() <= np.float32(0.2)  # kept within bounds


@pytest.mark.parametrize("blend", ["latest", "ensemble", "real-time"])
def test_chunks_are_asked_for_ahead(server: PolicyServer, blend: Any) -> None:
    with connect(server, blend=blend, ahead=2) as client:
        for number in range(12):
            assert np.isfinite(client.act(seen(number))).all()
            while client._asked is not None and not client._asked[1].done():
                time.sleep(0.001)
        assert client.missed == 0
        assert 4 <= len(client.latencies) <= 7


def test_clients_do_not_touch_each_other(server: PolicyServer) -> None:
    """The same seed gives the same actions, alone and among others, one of whom breaks off."""
    with connect(server) as alone:
        alone.reset(seed=1)
        expected = [alone.act(seen(number)) for number in range(8)]
    found: dict[int, list] = {}

    def drive(place: int) -> None:
        with connect(server) as client:
            client.reset(seed=1)
            found[place] = [client.act(seen(number)) for number in range(3 if place == 0 else 8)]

    threads = [threading.Thread(target=drive, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in range(1, 6):
        assert np.shape(found[place]) == (8, 2)
        np.testing.assert_allclose(found[place][0], expected[0], rtol=1e-4, atol=1e-4)


def test_requests_that_make_no_sense_are_answered_and_the_server_lives_on(server: PolicyServer) -> None:
    named = list(request().observations)
    wrong = MESSAGES["Named"](name="state", values=from_array(np.full((2, 3), np.nan)))
    cases = [
        (b"\xff\xff\xff", "3 bytes are no ChunkRequest"),
        (request(client="").SerializeToString(), "client has 0 characters"),
        (request(observations=named[:1]).SerializeToString(), "there is no observation"),
        (request(observations=[*named, named[0]]).SerializeToString(), "is given twice"),
        (request(observations=[*named[1:], wrong]).SerializeToString(), "state has a value that is not finite"),
        (request(planned=from_array(np.zeros((2, 3)))).SerializeToString(), "planned has shape (2, 3)"),
        (request(planned=from_array(np.zeros((2, 2))), fixed=3).SerializeToString(), "fixed is 3"),
    ]
    for data, said in cases:
        code, details = refused(server, data)
        assert code is grpc.StatusCode.INVALID_ARGUMENT, said
        assert said in details
    assert refused(server, bytes(2**22 + 1))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(ask(server, request().SerializeToString())) > 0
    with connect(server) as client, pytest.raises(ServeError, match="state has shape"):
        client.act({"state": np.zeros(4), "keypoint": np.zeros((4, 2))})


def test_a_deadline_that_passes(policy: DiffusionPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends in time, and the next one is answered."""
    draw, slow = policy.sample, threading.Event()

    def late(*args: Any, **kwargs: Any) -> torch.Tensor:
        if not slow.is_set():
            slow.set()
            time.sleep(0.5)
        return draw(*args, **kwargs)

    monkeypatch.setattr(policy, "sample", late)
    with PolicyServer(policy, address="127.0.0.1:0") as server:
        began = time.monotonic()
        code, _ = refused(server, request().SerializeToString(), timeout=0.1)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - began < 0.4
        assert ask(server, request().SerializeToString())


def test_bad_actions_of_one_robot_are_its_own(policy: DiffusionPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not finite is never sent; a robot drawn in the same batch is served."""
    draw = policy.sample

    def poisoned(observations: Any, generators: Any, **kwargs: Any) -> torch.Tensor:
        drawn = draw(observations, generators, **kwargs).clone()
        drawn[observations["state"][:, 0, 0] > 50] = torch.nan
        return drawn

    monkeypatch.setattr(policy, "sample", poisoned)
    with PolicyServer(policy, address="127.0.0.1:0") as server:
        results: dict[str, Any] = {}

        def drive(name: str, state: np.ndarray) -> None:
            with connect(server) as client:
                try:
                    results[name] = client.act({**seen(), "state": state})
                except ActionError as error:
                    results[name] = error

        threads = [
            threading.Thread(target=drive, args=(f"{number}", np.full(3, 99.0 if number == 2 else 0.5)))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "not finite; nothing is sent" in str(results.pop("2"))
        assert all(np.isfinite(action).all() for action in results.values())
        assert len(results) == 3


def test_actions_out_of_bounds_can_be_refused(policy: DiffusionPolicy) -> None:
    policy.low, policy.high = torch.tensor([-1e-6, -1e-6]), torch.tensor([1e-6, 1e-6])
    with (
        PolicyServer(policy, address="127.0.0.1:0", out_of_bounds="refuse") as server,
        connect(server) as client,
        pytest.raises(ActionError, match="it must be in"),
    ):
        client.act(seen())


def test_a_client_comes_back_to_a_server_that_was_started_anew(policy: DiffusionPolicy) -> None:
    first = PolicyServer(policy, address="127.0.0.1:0")
    with PolicyClient(f"127.0.0.1:{first.port}", patience_s=20.0, deadline_s=0.5, ahead=0) as client:
        client.act(seen())
        first.close()
        assert not client.healthy(timeout_s=0.2)
        timer = threading.Timer(0.5, lambda: again.append(PolicyServer(policy, address=f"127.0.0.1:{first.port}")))
        again: list[PolicyServer] = []
        timer.start()
        for number in range(8):
            assert np.isfinite(client.act(seen(number))).all()
        again[0].close()
    with PolicyClient("127.0.0.1:9", patience_s=0.2) as nobody, pytest.raises(ServeError, match=r"127\.0\.0\.1:9"):
        nobody.act(seen())


def test_noise_of_clients_long_gone_is_forgotten(policy: DiffusionPolicy) -> None:
    with PolicyServer(policy, address="127.0.0.1:0", clients=2) as server:
        for name in ("a", "b", "c"):
            ask(server, request(client=name).SerializeToString())
        assert list(server._noise) == ["b", "c"]
        assert isinstance(server._noise["c"], Generator)


def test_a_trace_has_a_line_for_every_request(policy: DiffusionPolicy, tmp_path: Path) -> None:
    with PolicyServer(policy, address="127.0.0.1:0", trace=tmp_path / "trace.jsonl") as server:
        ask(server, request().SerializeToString())
        refused(server, b"\xff")
    lines = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert [line["ended"] for line in lines] == ["answered", "refused"]
    assert lines[0]["client"] == "one"
    assert lines[0]["batch"] == 1
    assert 0 < lines[0]["compute_ms"] <= lines[0]["total_ms"]


def test_an_address_that_is_taken(server: PolicyServer, policy: DiffusionPolicy) -> None:
    with pytest.raises(ServeError, match="cannot be listened at"):
        PolicyServer(policy, address=f"127.0.0.1:{server.port}")
