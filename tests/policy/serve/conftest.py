"""A small policy behind a server."""

from collections.abc import Callable, Iterator

import pytest

from suffuse.policy import DiffusionPolicy

pytest.importorskip("grpc")
from suffuse.policy.serve import PolicyServer


@pytest.fixture
def policy(make_policy: Callable[..., DiffusionPolicy]) -> DiffusionPolicy:
    made = make_policy(action_low=[-0.2, -5.0], action_high=[0.2, 5.0])
    made.use_sampler("ddim", 3)
    return made


@pytest.fixture
def server(policy: DiffusionPolicy) -> Iterator[PolicyServer]:
    with PolicyServer(policy, address="127.0.0.1:0") as running:
        yield running
