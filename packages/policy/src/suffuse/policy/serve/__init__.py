"""Policies in the loop: a server of action chunks, its client, and ways to go from one chunk to the next."""

from suffuse.policy.serve.blend import BLENDS, Blend
from suffuse.policy.serve.client import PolicyClient
from suffuse.policy.serve.server import PolicyServer

__all__ = ["BLENDS", "Blend", "PolicyClient", "PolicyServer"]
