"""Stepping into the call of a module, and out again without a trace.

`module.forward` is replaced on the instance, which everything else in use honours: hooks, LoRA layers inside,
offloading (attached before or after), torch.compile of the module, of a parent, or of parts. State dict and class stay
as they are.
"""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, no_type_check
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch._C._dynamo import eval_frame

Original = Callable[..., Any]
Handler = Callable[[nn.Module, Original, tuple[Any, ...], dict[str, Any]], Any]


@dataclass
class _Replaced:
    forward: Callable[..., Any]
    before: Callable[..., Any] | None
    users: int = 0


_lock = threading.Lock()
_replaced: WeakKeyDictionary[nn.Module, _Replaced] = WeakKeyDictionary()


class Interception:
    """Calls of `module` go to `handler` until `remove`.

    The handler gets the module, its original forward and the arguments. A module can be intercepted several times, by
    sessions in other threads say, if it is with the same handler, which is then called once.
    """

    def __init__(self, module: nn.Module, handler: Handler) -> None:
        self._module = module
        with _lock:
            if module not in _replaced or "forward" not in module.__dict__:
                _replaced[module] = _replace(module, handler)
            _replaced[module].users += 1

    def remove(self) -> None:
        """Let the module be as it was, unless others still need the interception.

        Had somebody else wrapped the forward in the meantime (an offload hook, say), theirs stays, with ours inside,
        which from now on only passes calls on.
        """
        with _lock:
            replaced = _replaced[self._module]
            replaced.users -= 1
            if replaced.users or self._module.__dict__.get("forward") is not replaced.forward:
                return
            del _replaced[self._module]
            if replaced.before is None:
                del self._module.forward
            else:
                self._module.forward = replaced.before


def _replace(module: nn.Module, handler: Handler) -> _Replaced:
    original, before = module.forward, module.__dict__.get("forward")
    uncompiled: Handler = torch.compiler.disable(handler)  # type: ignore[no-untyped-call]

    # torch.compile must not look into handlers (nor into run-time type checks of this function), only into the original
    # that they call.
    @functools.partial(torch.compiler.disable, recursive=False)
    @functools.wraps(original)
    @no_type_check
    def forward(*args: Any, **kwargs: Any) -> Any:
        compiler = eval_frame.set_eval_frame(None)
        eval_frame.set_eval_frame(compiler)
        if compiler is None:
            return handler(module, original, args, kwargs)
        return uncompiled(module, functools.partial(_compiled, compiler, original), args, kwargs)

    module.forward = forward
    return _Replaced(forward, before)


@no_type_check
def _compiled(compiler: Any, original: Original, *args: Any, **kwargs: Any) -> Any:
    """Call the original with the compiler that was at work before the handler took over."""
    outer = eval_frame.set_eval_frame(compiler)
    try:
        return original(*args, **kwargs)
    finally:
        eval_frame.set_eval_frame(outer)
