"""Runs: how one starts, stops and resumes, what it writes, and what it logs.

Checkpoints are written under a temporary name and renamed, so that a full disk or a kill leaves the former one whole,
and a damaged one is found before it is read (``checkpoint_file``). The last one is saved after every epoch and every
signal (``resumable_checkpoint``, ``deferred_signals``), where Lightning saves it only together with a best one.
Commands without ``--ckpt_path`` take the newest (``newest_checkpoint``). A resumed training takes the learning rate
that is given now, which Lightning would overwrite by that of the checkpoint (``resuming``). Two runs that start at once
never share a folder (``folders``), in which each keeps its full config (``saved_config``); Weights & Biases gets it,
too, or logs offline where it cannot be reached (``weights_and_biases``). Loggers get the pictures and tables that they
can show (``loggers``), the first process the results of all (``processes``). CUDA graphs replay whole training steps
(``cuda_graphs``), and a stopwatch waits for the GPU (``stopwatch``).
"""

from lowrank_unroll.runs.checkpoint_file import damage_to, is_damaged, read_checkpoint
from lowrank_unroll.runs.deferred_signals import DeferredSignals
from lowrank_unroll.runs.resumable_checkpoint import ResumableCheckpoint
from lowrank_unroll.runs.stopwatch import Stopwatch

__all__ = ["DeferredSignals", "ResumableCheckpoint", "Stopwatch", "damage_to", "is_damaged", "read_checkpoint"]
