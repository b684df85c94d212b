"""The command line in processes of its own that need not import, which would take longer than what they do."""

import multiprocessing
import os
import sys
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from lowrank_unroll.__main__ import main


def forkserver():
    """Starts processes, forked from one without threads that has imported already, which takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sigpy.mri.app", "lowrank_unroll.command_line.reconstruction_cli"])
    return context


def start_forked(folder, words, log, **environment):
    """Start the command line in a folder; what it prints is added to a file."""
    process = forkserver().Process(target=run, args=(folder, words, log, environment))
    process.start()
    return process


def run(folder, words, log, environment):
    """Run the command line in this process, which is to end with it."""
    os.chdir(folder)
    os.environ.update(environment)
    rank_zero_only.rank = int(environment.get("LOCAL_RANK", 0))  # Lightning reads it when it is imported
    with Path(log).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["lowrank-unroll", *map(str, words)]
    main()
