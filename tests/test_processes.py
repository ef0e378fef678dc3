import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from unipan.processes import available_memory, end_with_parent, peak_memory, resident_memory

PARENT = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unipan.processes import end_with_parent

def work(folder):
    Path(folder, "child").write_text(str(os.getpid()))
    Path(folder, "child").rename(Path(folder, "ready"))
    time.sleep(60)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        pool.submit(work, sys.argv[1]).result()
"""


def wait_until(holds, seconds: float = 60.0) -> bool:  # noqa: ANN001
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def runs(pid: int) -> bool:
    """A zombie, which nobody waits for in a container without init, does not run."""
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_a_pool_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    assert wait_until((tmp_path / "ready").exists)
    child = int((tmp_path / "ready").read_text())
    assert runs(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_until(lambda: not runs(child), 10)


def _answer(found) -> None:  # noqa: ANN001
    end_with_parent()
    found.put(os.getpid())


def test_a_process_whose_parent_lives_does_its_work() -> None:
    context = get_context("spawn")
    found = context.Queue()
    process = context.Process(target=_answer, args=(found,))
    process.start()
    assert found.get(timeout=30) == process.pid
    process.join()
    assert process.exitcode == 0


def test_nothing_happens_in_a_process_without_parent() -> None:
    end_with_parent()


def test_peak_memory_is_in_bytes() -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        assert peak_memory() is None or peak_memory() > 2**20
        return
    [peak] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    assert peak_memory() == pytest.approx(int(peak) * 1024, rel=0.05)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone counts what a process had before")
def test_the_peak_is_not_that_of_the_process_that_began_this_one() -> None:
    held = bytearray(b"x") * (300 << 20)
    code = "from unipan.processes import peak_memory; print(peak_memory())"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert len(held) > int(found) > 2**20


def test_no_peak_memory_where_python_has_no_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    monkeypatch.setattr(Path, "read_text", lambda _: "")
    assert peak_memory() is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux says what is free")
def test_available_memory_is_less_than_the_machine_has() -> None:
    free = available_memory()
    assert free is not None
    assert 0 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says what is resident")
def test_what_is_resident_now_is_at_most_the_peak() -> None:
    now, peak = resident_memory(), peak_memory()
    assert now is not None
    assert peak is not None
    assert 2**20 < now <= 1.05 * peak
