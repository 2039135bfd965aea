"""What the commands of suffuse share: errors in one sentence, options, progress, files that appear whole.

Nothing is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suffuse.console.entry import interruptible, start
    from suffuse.console.errors import INTERRUPTED, WRONG_INPUT, UserError, because, shown
    from suffuse.console.files import check_writable, replacing, write_json
    from suffuse.console.models import (
        CONFIG_FILE,
        WEIGHTS_FILE,
        check_files,
        find_model,
        load_whole,
        read_object,
        tensor_sizes,
    )
    from suffuse.console.options import MOST_PROCESSES, Threads, number, whole
    from suffuse.console.provenance import file_hash, versions, write_run
    from suffuse.console.screen import progress, say, stderr
    from suffuse.console.sentences import OneSentence, one_sentence, task_app

_NAMES = {
    "entry": ("interruptible", "start"),
    "errors": ("INTERRUPTED", "WRONG_INPUT", "UserError", "because", "shown"),
    "files": ("check_writable", "replacing", "write_json"),
    "models": (
        "CONFIG_FILE",
        "WEIGHTS_FILE",
        "check_files",
        "find_model",
        "load_whole",
        "read_object",
        "tensor_sizes",
    ),
    "options": ("MOST_PROCESSES", "Threads", "number", "whole"),
    "provenance": ("file_hash", "versions", "write_run"),
    "screen": ("progress", "say", "stderr"),
    "sentences": ("OneSentence", "one_sentence", "task_app"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "CONFIG_FILE",
    "INTERRUPTED",
    "MOST_PROCESSES",
    "WEIGHTS_FILE",
    "WRONG_INPUT",
    "OneSentence",
    "Threads",
    "UserError",
    "because",
    "check_files",
    "check_writable",
    "file_hash",
    "find_model",
    "interruptible",
    "load_whole",
    "number",
    "one_sentence",
    "progress",
    "read_object",
    "replacing",
    "say",
    "shown",
    "start",
    "stderr",
    "task_app",
    "tensor_sizes",
    "versions",
    "whole",
    "write_json",
    "write_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
