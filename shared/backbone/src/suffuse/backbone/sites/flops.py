"""Counting floating-point operations while they happen, in this thread only."""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # its __init_subclass__
    """Adds up products, convolutions and attention, at two operations for a multiplication and addition.

    Unlike torch's own FlopCounterMode it hooks no modules, so that other threads go undisturbed, and knows the kernel
    of attention on CPUs. Pointwise operations count nothing, as is usual.
    """

    supports_higher_order_operators = True  # flexible attention

    @classmethod
    def is_infra_mode(cls) -> bool:
        """True: compiled code may run under it."""
        return True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        formula, composite = _known_about(func)
        if composite:
            with self:
                return func.decompose(*args, **kwargs)
        output = func(*args, **kwargs)
        if formula is not None:
            self.total += int(formula(*args, **kwargs, out_val=output))
        return output


@cache
def _known_about(func: Hashable) -> tuple[Callable[..., int] | None, bool]:
    """The formula of an operation that has one, and whether it is made of other operations."""
    packet = getattr(func, "_overloadpacket", func)
    if packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
        return _attention_on_cpu, False
    formula = flop_registry.get(packet)
    made_of_others = isinstance(func, torch._ops.OpOverload) and torch._C._dispatch_has_kernel_for_dispatch_key(
        str(func.name()),  # type: ignore[no-untyped-call]
        "CompositeImplicitAutograd",
    )
    return formula, formula is None and made_of_others


def _attention_on_cpu(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))  # type: ignore[no-untyped-call]
