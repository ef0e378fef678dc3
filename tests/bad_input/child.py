"""Runs one case in this process, and says what became of it: what it printed, made, changed and took."""

import ctypes
import hashlib
import os
import re
import shutil
import stat
import sys
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

from tests.bad_input.case import Case, Outcome, unchanged
from unipan.cli import main
from unipan.terminal import printable

MEMORY = 700
"""MiB that a case may take beyond the interpreter's own."""
TRACEBACK = 70
"""Stands for the exit status after an exception."""
LINES, LETTERS = 12, 900
"""The longest message: so many lines of so many letters; those of a wrong option are a box, and may have more."""
BOX = 60


def obey_permissions() -> None:
    """Give up root's right to read and write everything, if this process has it (capabilities(7), Linux); for good,
    because access(2) asks for what could be had again."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    if not hasattr(libc, "capget") or libc.capget(header, sets):
        return
    for place in range(3):
        sets[place] &= ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    libc.capset(header, sets)


def snapshot(folder: Path) -> dict[str, str]:
    """What lies in a folder: paths with the digests of files, and the kinds of everything else."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            kind = path.lstat().st_mode
            if stat.S_ISREG(kind):
                found[str(path.relative_to(folder))] = hashlib.sha1(path.read_bytes()).hexdigest()
            else:
                found[str(path.relative_to(folder))] = str(stat.S_IFMT(kind))
    return found


def prepare(case: Case, world: Path, folder: Path) -> None:
    """Copy what the case uses, and damage it."""
    folder.mkdir()
    for part in case.uses:
        if (world / part).is_dir():
            shutil.copytree(world / part, folder / part)
        else:
            shutil.copy(world / part, folder / part)
    case.change(folder)


class Workplace:
    """The folder in which cases run one after the other; made anew unless the one before left it as it was."""

    def __init__(self, world: Path, scratch: Path) -> None:
        self.folder = scratch / "case"
        self.out, self.err, self.made = (scratch / name for name in ("out", "err", "made"))
        self._world = world
        self._holds: tuple[str, ...] | None = None
        self._before: dict[str, str] = {}
        scratch.mkdir(exist_ok=True)

    def enter(self, case: Case) -> dict[str, str]:
        """Make what the case starts from; returns what lies in it."""
        if case.change is not unchanged or case.uses != self._holds:
            self.clear()
            prepare(case, self._world, self.folder)
            self._before = snapshot(self.folder)
        return self._before

    def leave(self, case: Case) -> dict[str, str]:
        """What lies in it now."""
        after = snapshot(self.folder)
        self._holds = case.uses if case.change is unchanged and after == self._before else None
        return after

    def clear(self) -> None:
        """Nothing is left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in (self.out, self.err, self.made):
            path.unlink(missing_ok=True)


def run_here(case: Case, workplace: Workplace, resident: int) -> Outcome:
    """One case, from its folder to its faults, in this process, which has to be one that may die.

    Args:
        case: which.
        workplace: where.
        resident: KiB that this process had before its first case; what the cases before have left counts.
    """
    before = workplace.enter(case)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here (proc(5), Linux)
    began = sum(os.times()[:4])
    status, peak = _as_a_mortal(case, workplace) if case.mortal else (_be_the_command(case, workplace), 0)
    seconds = sum(os.times()[:4]) - began
    memory = max(0, max(kibibytes("VmHWM"), peak) - resident) // 1024
    said, complained = (path.read_text(errors="replace") for path in (workplace.out, workplace.err))
    kind = _kind(case, status, said, complained)
    result = workplace.made.read_text() if workplace.made.exists() else ""
    if kind in ("right", "findings", "partly") and case.call is None:
        result = case.result(workplace.folder, said)
    faults = list(_faults(case, status, said, complained))
    faults += _changes(case, status, before, workplace.leave(case))
    if memory > MEMORY:
        faults.append(f"took {memory} MiB")
    workplace.made.unlink(missing_ok=True)
    return Outcome(kind, status, result, said + complained, tuple(faults), seconds, memory)


def died(case: Case, status: int | None, workplace: Workplace) -> Outcome:
    """Of a case that took its process along: the exit status, None after too long."""
    said, complained = (
        path.read_text(errors="replace") if path.exists() else "" for path in (workplace.out, workplace.err)
    )
    faults = _faults(case, status, said, complained)
    return Outcome("hang" if status is None else "killed", status, "", said + complained, (*faults,), 0, 0)


def kibibytes(field: str) -> int:
    """Memory that this process has now (proc_pid_status(5), Linux)."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def _as_a_mortal(case: Case, workplace: Workplace) -> tuple[int, int]:
    """The status and the peak in KiB of a process without root's rights; this one keeps them, to see what was done."""
    child = os.fork()
    if not child:
        obey_permissions()
        os._exit(_be_the_command(case, workplace))
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss


def _be_the_command(case: Case, workplace: Workplace) -> int:
    """What the process of the command would do, up to its exit status."""
    for path, number in ((os.devnull, 0), (workplace.out, 1), (workplace.err, 2)):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout, sys.stderr = (
        os.fdopen(1, "w", closefd=False),
        os.fdopen(2, "w", errors="backslashreplace", closefd=False),
    )
    warnings.resetwarnings()  # as in a process of its own
    warnings.simplefilter("default")
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", ResourceWarning)
    environment, place = dict(os.environ), Path.cwd()
    os.chdir(workplace.folder)
    try:
        return _python(case, workplace) if case.call is not None else main(list(case.arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return TRACEBACK
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(place)
        os.environ.clear()
        os.environ.update(environment)


def _python(case: Case, workplace: Workplace) -> int:
    """Call a function: its own errors are 1, told like those of a command; anything else is a traceback."""
    assert case.call is not None
    try:
        found = case.call(workplace.folder)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except TypeError as error:  # Python's own word for a wrong kind of value, if it says which
        if not any(name in str(error) for name in case.names.split("|")):
            raise
        sys.stderr.write(f"{error}\n")
        return 1
    workplace.made.write_text(str(found))
    return 0


def _kind(case: Case, status: int | None, said: str, complained: str) -> str:
    if status not in (0, 1, 2):
        return {None: "hang", TRACEBACK: "traceback"}.get(status, "killed")
    if status == 0:
        return "right"
    if case.door == "data check" and status == 1 and not complained:
        return "findings"
    if case.door == "predict" and status == 1 and "left out" in said:
        return "partly"
    return "refusal" if case.about == "options" else "sentence"


def _faults(case: Case, status: int | None, said: str, complained: str) -> list[str]:
    """What a message may not be."""
    text, faults = said + complained, []
    if status == TRACEBACK or "Traceback (most recent call last)" in text:
        faults.append(complained.strip().rpartition("\n")[2])
    if status not in (0, 1, 2, TRACEBACK):
        faults.append(f"ended with {status}")
    if "Warning: " in text:
        faults.append("a warning of a library: " + text[text.index("Warning: ") :].partition("\n")[0])
    if case.call is None and printable(text) != text:
        faults.append("unprintable characters")
    box = status == 2  # of tyro or argparse
    lines = complained.splitlines()
    if not box and any(not line.strip() for line in lines):
        faults.append("a blank line on stderr")
    if status == 0:
        return faults
    if not any(name in re.sub(r"[│\s]+", " ", text) for name in case.names.split("|")):
        faults.append(f"does not name {case.names}")
    if status in (1, 2) and (len(lines) > (BOX if box else LINES) or max(map(len, lines), default=0) > LETTERS):
        faults.append(f"a message of {len(lines)} lines and {len(complained)} letters")
    if status in (1, 2) and not text.strip():
        faults.append("not a word")
    return faults


def _changes(case: Case, status: int | None, before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Inputs that are no longer what they were, and files that should not be there."""
    faults = [f"changed {path}" for path, what in before.items() if after.get(path) != what and not _made(case, path)]
    new = sorted(after.keys() - before.keys())
    partly = case.door == "predict" and status == 1 and "out/panoptic.json" in new
    if status == 0 or partly or (status == 1 and case.door == "data check"):
        left = [path for path in new if not _made(case, path)]
        left += [path for path in new if re.search(r"\.unipan-|\.unipan\.lock|\.unfinished|\.part$|\.tmp$", path)]
    else:
        left = new
    if left:
        faults.append(f"left {', '.join(left[:3])}")
    return faults


def _made(case: Case, path: str) -> bool:
    return any(path == name or path.startswith(f"{name}/") or name.startswith(f"{path}/") for name in case.makes)
