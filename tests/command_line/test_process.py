"""Settings of a process of the trainer."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from lowrank_unroll.command_line.process import keep_freed_memory

keep_freed_memory()
for _ in range(40):
    torch.ones(25_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(**variables):
    own = {name: value for name, value in os.environ.items() if "MALLOC_" not in name and name != "GLIBC_TUNABLES"}
    environment = own | variables
    run = [sys.executable, "-c", FAULTS]
    return int(subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow(seconds=8)
def test_freed_blocks_are_used_again_unless_the_user_decides():
    if sys.platform != "linux" or "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""):
        pytest.skip("for glibc")
    kept = page_faults(MALLOC_ARENA_MAX="2")
    assert kept < page_faults(MALLOC_MMAP_THRESHOLD_="1000000") / 2
    assert kept < page_faults(GLIBC_TUNABLES="glibc.malloc.mmap_threshold=1000000") / 2
