"""Runs cases in processes forked from one that has imported everything, so that a hang, a kill or a flood of memory is
one more outcome, and nothing has to be imported twice.

A process runs several cases, one after the other: forking takes longer than most of them, and what a command makes
ready the first time is ready for the next. An outcome counts if it is the expected one; any other is asked for again,
of a process that runs this case alone. But what may never happen counts wherever it happened.
"""

import os
import resource
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from tests.bad_input.case import Case, Outcome
from tests.bad_input.child import Workplace, died, kibibytes, run_here

SECONDS = 30
"""After so long a case hangs."""
TOGETHER = 50
"""Cases that one process runs at most."""
HARNESS_FAILED = 99


def outcomes_of(
    cases: Sequence[Case],
    world: Path,
    scratch: Path,
    expected: Callable[[Case, Outcome], bool],
    together: int = TOGETHER,
) -> Iterator[Outcome]:
    """What becomes of the cases, in their order.

    Args:
        cases: all of them.
        world: the files that they start from.
        scratch: an empty folder to work in.
        expected: whether an outcome needs no second look.
        together: how many cases a process may run.
    """
    position = 0
    shared = Workplace(world, scratch / "shared")
    while position < len(cases):
        for outcome in _one_process(cases[position : position + together], shared):
            case = cases[position]
            position += 1
            if expected(case, outcome) or together == 1:
                yield outcome
            else:
                alone = run_case(case, world, scratch)
                beside = tuple(f"beside other cases: {fault}" for fault in outcome.faults if fault not in alone.faults)
                yield replace(alone, faults=alone.faults + beside, again=True)


def run_case(case: Case, world: Path, scratch: Path) -> Outcome:
    """What becomes of one case in a process of its own."""
    [outcome] = _one_process([case], Workplace(world, scratch / "alone"))
    return outcome


def _one_process(cases: Sequence[Case], workplace: Workplace) -> Iterator[Outcome]:
    """The outcomes of cases up to the last, or to the first that its process did not survive."""
    receiving, sending = Pipe(duplex=False)
    child = os.fork()
    if not child:
        _be_the_child(cases, workplace, sending)
    sending.close()
    for case in cases:
        in_time = receiving.poll(SECONDS)
        if not in_time:
            os.killpg(child, signal.SIGKILL)
        try:
            yield receiving.recv()
        except EOFError:
            _, status = os.waitpid(child, 0)
            yield died(case, os.waitstatus_to_exitcode(status) if in_time else None, workplace)
            break
    else:
        os.waitpid(child, 0)
    receiving.close()
    workplace.clear()


def _be_the_child(cases: Sequence[Case], workplace: Workplace, sending: Connection) -> NoReturn:
    """What the forked process does; it never returns."""
    terminal = os.dup(2)
    try:
        os.setpgid(0, 0)
        most = (kibibytes("VmData") << 10) + (6 << 30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # a flood ends in an error
        resident = kibibytes("VmRSS")  # without file pages, which a fork does not take along
        for case in cases:
            sending.send(run_here(case, workplace, resident))
        os._exit(0)
    except BaseException:
        os.write(terminal, traceback.format_exc().encode())  # of the tests themselves
    os._exit(HARNESS_FAILED)
