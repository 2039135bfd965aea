"""Ctrl-C ends a command in one sentence, also while its libraries are still being imported."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from suffuse.console import INTERRUPTED, interruptible

SLOW = """
import sys, time
sys.stdout.write("importing\\n")
sys.stdout.flush()
try:
    time.sleep(60)
except BaseException:  # as some libraries do
    time.sleep(60)
"""
RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # the runner of the tests may ignore it
from {module} import main
sys.argv = {argv}
sys.exit(main())
"""


def interrupted(module: str, argv: list[str], libraries: Path) -> tuple[int, str]:
    """Exit code and standard error of a command that gets Ctrl-C when it imports what says `importing`."""
    code = f"import sys; sys.path.insert(0, {str(libraries)!r})\n{RUN.format(module=module, argv=argv)}"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, said


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        ("suffuse.commands.trajectory", ["suffuse-trajectory", "info"]),
        ("suffuse.commands.policy", ["suffuse-policy", "info"]),
        ("suffuse.commands.backbone", ["suffuse-backbone", "study"]),
        ("suffuse.commands.suffuse", ["suffuse", "policy", "info"]),
    ],
)
def test_ctrl_c_while_libraries_are_imported(module: str, argv: list[str], tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(SLOW)
    assert interrupted(module, argv, tmp_path) == (INTERRUPTED, "Error: interrupted\n")


@pytest.mark.parametrize("source", ["raise KeyboardInterrupt", "def main():\n    raise KeyboardInterrupt"])
def test_an_interrupt_as_an_exception(tmp_path: Path, source: str) -> None:
    (tmp_path / "made_up.py").write_text(source)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom suffuse.console import start; start('made_up')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (INTERRUPTED, "Error: interrupted\n")


def test_what_runs_first_imports_no_library() -> None:
    code = """if True:
        import sys
        before = set(sys.modules)
        import suffuse.commands.trajectory, suffuse.commands.policy, suffuse.commands.backbone, suffuse.commands.suffuse
        print({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{'suffuse'}\n"


def test_python_has_its_own_way_back_afterwards() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_whoever_ignores_ctrl_c_goes_on_doing_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone() -> None:
    found: list[object] = []

    def elsewhere() -> None:
        with interruptible():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
