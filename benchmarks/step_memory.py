"""The peak of memory of one training step, in a process of its own.

python benchmarks/step_memory.py ours cpu '["colour", [3, 32, 32], 128, 10, 1]'
"""

import json
import subprocess
import sys
from pathlib import Path

import torch
from resident_memory import resident_megabytes
from step_cases import QUICK, Case, steps_of


def peak_megabytes(case: Case, name: str, device: str) -> float:
    """The peak of a step of "ours" or "naive" above what was held before it, measured by running this file."""
    words = [sys.executable, __file__, name, device, json.dumps(case)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)  # noqa: S603


def measure(case: Case, name: str, device: str) -> float:
    """The same in this process, which must be fresh."""
    torch.set_num_threads(1)
    # Load the libraries first, those of the compiler only where it is used.
    steps_of(QUICK.named[0]._replace(compiled=case.compiled), device)[name]()
    step = steps_of(case, device)[name]
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (Linux)
    before = resident_megabytes("VmRSS")
    step()
    return resident_megabytes("VmHWM") - before


if __name__ == "__main__":
    print(measure(Case(*json.loads(sys.argv[3])), *sys.argv[1:3]))  # noqa: T201
