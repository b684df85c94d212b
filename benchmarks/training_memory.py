"""What a training step of each method of a study keeps for its gradient: MB of activations, states and factors.

    python benchmarks/training_memory.py studies/benchmark_series_cpu.yaml

Further words go to all methods, as those of a study do. Each does one step, on data and batch of the study. Counted is
what PyTorch saves for the backward pass, once if it is saved twice, and without parameters: the part of the memory that
grows with batch, size and iterations, the same on CPU and GPU. What the layers need while they compute, gradients and
the state of the optimizer come on top.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from lowrank_unroll.command_line import reconstruction_cli
from lowrank_unroll.studies import read_study

MEGABYTE = 1e6
ONE_STEP = [
    *("--trainer.max_steps", "1", "--trainer.limit_val_batches", "0", "--trainer.logger", "false"),
    *("--pictures.samples", "0", "--trainer.callbacks+", "training_memory.SavedForGradient"),
]


class SavedForGradient(Callback):
    """Count bytes that the forward pass of the last training step has saved."""

    parameters = 0
    megabytes = 0.0

    def on_train_batch_start(self, trainer: Any, module: nn.Module, *_: Any) -> None:
        """Begin to count."""
        self.own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
        self.saved: dict[int, Tensor] = {}  # by storage; kept, so that no other tensor gets their place
        self.hooks = saved_tensors_hooks(self.count, lambda saved: saved)
        self.hooks.__enter__()

    def count(self, tensor: Tensor) -> Tensor:
        """Remember the storage of a tensor, unless it is a parameter's."""
        storage = tensor.untyped_storage().data_ptr()
        if storage not in self.own:
            self.saved.setdefault(storage, tensor.detach())
        return tensor.detach()

    def on_before_backward(self, trainer: Any, module: nn.Module, loss: Tensor) -> None:
        """Sum what was counted."""
        self.hooks.__exit__()
        kind = type(self)
        kind.parameters = sum(parameter.numel() for parameter in module.parameters())
        kind.megabytes = sum(tensor.untyped_storage().nbytes() for tensor in self.saved.values()) / MEGABYTE
        self.saved.clear()


def main() -> None:
    """Print a table."""
    import training_memory  # noqa: PLC0415  the module that the command line imports, which is not __main__

    file, *further = sys.argv[1:]  # which the command line replaces
    study = read_study(Path(file))
    table = Table("method", "parameters", "kept for the gradient of a step, MB")
    condition = next(iter(study.conditions.values()))
    for method, words in study.methods.items():
        with tempfile.TemporaryDirectory() as folder:
            in_folder = [*further, *ONE_STEP, "--trainer.default_root_dir", folder]
            reconstruction_cli.run("fit", [*study.common, *condition, *words, *in_folder])
        saved = training_memory.SavedForGradient
        table.add_row(method, f"{saved.parameters:,}", f"{saved.megabytes:.3g}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
