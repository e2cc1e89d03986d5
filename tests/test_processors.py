import os
import subprocess
import sys
from pathlib import Path

import pytest

from ratecast.processors import available_processors


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds a process to processors")
def test_a_process_counts_the_processors_that_it_is_bound_to() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from ratecast.processors import available_processors; print(available_processors())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "1"
    assert available_processors() == len(os.sched_getaffinity(0))


def test_a_limit_of_the_container_counts(tmp_path: Path) -> None:
    here = len(os.sched_getaffinity(0))
    assert available_processors(tmp_path) == here
    (tmp_path / "cpu.max").write_text("max 100000\n", encoding="ascii")
    assert available_processors(tmp_path) == here
    for quota, expected in ((100000, 1), (20000, 1), (150000, min(2, here)), (9900000, here)):
        (tmp_path / "cpu.max").write_text(f"{quota} 100000\n", encoding="ascii")
        assert available_processors(tmp_path) == expected
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()  # as version 1 has it
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n", encoding="ascii")
    for quota, expected in ((-1, here), (50000, 1)):
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n", encoding="ascii")
        assert available_processors(tmp_path) == expected
