"""Runs a case in a process of its own, forked from one that has imported everything: a hang, a kill or a flood of
memory is one more outcome, and nothing has to be imported twice."""

import ctypes
import hashlib
import os
import re
import resource
import select
import shutil
import signal
import stat
import sys
import traceback
import warnings
from pathlib import Path

from tests.bad_input.case import Case, Outcome
from unipan.cli import main
from unipan.terminal import printable

SECONDS = 30
"""After so long a case hangs."""
MEMORY = 700
"""MiB that a case may take beyond the interpreter's own."""
TRACEBACK = 70
"""The exit status that the forked process gives after an exception."""
LINES, LETTERS = 12, 900
"""The longest message: so many lines of so many letters; those of a wrong option are a box, and may have more."""
BOX = 60


def obey_permissions() -> None:
    """Give up root's right to read and write everything, if this process has it (capabilities(7), Linux)."""
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


def run_case(case: Case, world: Path, scratch: Path) -> Outcome:
    """One case, from its folder to its faults."""
    folder = scratch / "case"
    prepare(case, world, folder)
    before = snapshot(folder)
    out, err, made = (scratch / name for name in ("out", "err", "made"))
    resident = _has("RssAnon")  # a fork takes no file pages along; the peak of what this process had would hide a flood
    child = os.fork()
    if not child:
        _be_the_child(case, folder, out, err, made)
    status, usage = _wait(child)
    memory = max(0, usage.ru_maxrss - resident) // 1024
    said, complained = (path.read_text(errors="replace") for path in (out, err))
    kind = _kind(case, status, said, complained)
    result = made.read_text() if made.exists() else ""
    if kind in ("right", "findings", "partly") and case.call is None:
        result = case.result(folder, said)
    faults = list(_faults(case, status, said, complained))
    faults += _changes(case, status, before, snapshot(folder))
    if memory > MEMORY:
        faults.append(f"took {memory} MiB")
    for path in (out, err, made):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder)
    return Outcome(kind, status, result, said + complained, tuple(faults), usage.ru_utime + usage.ru_stime, memory)


def _has(field: str) -> int:
    """KiB that this process has now (proc_pid_status(5), Linux)."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def _wait(child: int) -> tuple[int | None, resource.struct_rusage]:
    """The exit status, None after too long; and what was used."""
    ends = os.pidfd_open(child)
    in_time, _, _ = select.select([ends], [], [], SECONDS)
    os.close(ends)
    if not in_time:
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status) if in_time else None, usage


def _be_the_child(case: Case, folder: Path, out: Path, err: Path, made: Path) -> None:
    """What the forked process does; it never returns."""
    status = TRACEBACK
    try:
        os.setpgid(0, 0)
        for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
            opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", errors="backslashreplace")
        warnings.resetwarnings()  # as in a process of its own
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", ResourceWarning)
        most = (_has("VmData") << 10) + (6 << 30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # a flood ends in an error
        if case.mortal:
            obey_permissions()
        os.chdir(folder)
        status = _python(case, folder, made) if case.call is not None else main(list(case.arguments))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _python(case: Case, folder: Path, made: Path) -> int:
    """Call a function: its own errors are 1, told like those of a command; anything else is a traceback."""
    assert case.call is not None
    try:
        found = case.call(folder)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except TypeError as error:  # Python's own word for a wrong kind of value, if it says which
        if not any(name in str(error) for name in case.names.split("|")):
            raise
        sys.stderr.write(f"{error}\n")
        return 1
    made.write_text(str(found))
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
