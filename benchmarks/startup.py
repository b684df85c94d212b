"""Start-up time of the command line and the imports, beside PyTorch and Lightning alone: CPU seconds.

python benchmarks/startup.py
"""

import resource
import subprocess
import sys

from rich.console import Console
from rich.table import Table

ROUNDS = 5
LIBRARIES = {
    "torch": ["-c", "import torch"],
    "lightning.pytorch.cli": ["-c", "import lightning.pytorch.cli"],
}
OURS = {
    "lowrank_unroll.linalg": ["-c", "import lowrank_unroll.linalg"],
    "lowrank_unroll.networks": ["-c", "import lowrank_unroll.networks"],
    "lowrank-unroll --help": ["-m", "lowrank_unroll", "--help"],
    "lowrank-unroll compare --help": ["-m", "lowrank_unroll", "compare", "--help"],
    "lowrank-unroll fit --config color_cs/demo.yaml --print_config": [
        *("-m", "lowrank_unroll", "fit", "--config", "color_cs/demo.yaml", "--print_config"),
    ],
}


def cpu_seconds(words: list[str]) -> float:
    """User and system time of Python with these words, which other processes change little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the least of some rounds, in which all take turns."""
    commands = {**LIBRARIES, **OURS}
    rounds = [{name: cpu_seconds(words) for name, words in commands.items()} for _ in range(ROUNDS)]
    least = {name: min(seconds[name] for seconds in rounds) for name in commands}
    table = Table("", "CPU seconds", "over PyTorch alone", "over Lightning alone")
    for name, value in least.items():
        ratios = (f"{value / least[library]:.2f}" for library in LIBRARIES)
        table.add_row(name, f"{value:.2f}", *ratios)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
