import os
import subprocess
import sys

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
