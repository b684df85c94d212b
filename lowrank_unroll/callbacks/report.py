"""The outcome of ``test``: a table, a page to share, and the numbers in files."""

import hashlib
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, Trainer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

import lowrank_unroll
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import first_line
from lowrank_unroll.files import write_whole
from lowrank_unroll.metrics import is_defined
from lowrank_unroll.modules import ReconstructionModule, Step
from lowrank_unroll.names import one_line, told_apart
from lowrank_unroll.pictures import Panel, animation, comparison, draw_panels, panel_of
from lowrank_unroll.prox import casorati, trained_low_rank_steps
from lowrank_unroll.reports import (
    Cine,
    Evaluation,
    Page,
    SampleResult,
    Values,
    command_to_repeat,
    heading,
    mean_and_spread,
    methods,
    number,
    objections,
    read_evaluation,
)
from lowrank_unroll.reports.evaluation import METRICS_FILE
from lowrank_unroll.reports.figures import spectra, thresholds
from lowrank_unroll.runs import Stopwatch
from lowrank_unroll.runs.gathering import gather, tested_indices
from lowrank_unroll.runs.logged_media import log_picture, log_table
from lowrank_unroll.sample import Sample, known_target
from lowrank_unroll.terminal import say

LOG_WIDTH = 120
CASORATI, CHANNEL = "the Casorati matrix (time x pixels)", "the first channel"  # whose singular values are shown
VERSIONS_OF = ("torch", "lightning", "numpy")


class Tested(NamedTuple):
    """The result of one sample, and its pictures if it is one of the first."""

    result: SampleResult
    panel: Panel | None
    cine: Cine | None


class TestReport(Callback):
    """Compare each test image's reconstruction with the zero-filled image, from which it was made.

    Prints a table of every metric per image with mean (std), and writes into the folder `test` of the run:
    ``report.html``, which holds everything and can be sent to a colleague, ``metrics.csv``, ``metrics.json``,
    ``panels.png`` and, of series, ``cine.gif``. The standard deviation is over images, with n - 1. Several
    processes report together what one would.

    Args:
        panels: how many images, the first ones, are shown; at least one.
        cines: how many series, the first ones, the page plays.
        baselines: folders of finished tests to compare to in the page.
        untrained: methods without training to compare to, networks as the one that is tested: they reconstruct the same
            samples, whole.

    Raises:
        FileNotFoundError: if a folder holds no finished test.
        ValueError: if a number is too small; a DataError if the test of a folder cannot be read.
    """

    __test__ = False  # not a pytest class

    def __init__(
        self,
        panels: int = 6,
        cines: int = 2,
        baselines: Sequence[Path] = (),
        untrained: Sequence[nn.Module] = (),
    ) -> None:
        check_at_least(1, panels=panels)
        check_at_least(0, cines=cines)
        self.panels = panels
        self.cines = cines
        self.baselines = [read_evaluation(Path(baseline)) for baseline in baselines]
        names = told_apart(type(network).__name__ for network in untrained)
        self.untrained = dict(zip(names, untrained, strict=True))
        self._indices: Iterator[int] = iter(())
        self._tested: dict[int, Tested] = {}  # by place in the data set
        self._matrix = ""
        self._spectra: dict[str, Tensor] = {}

    def on_test_start(self, trainer: Trainer, pl_module: ReconstructionModule) -> None:  # type: ignore[override]
        """Forget an earlier test."""
        for network in self.untrained.values():
            network.to(pl_module.device)
        self._indices, self._tested, self._spectra = tested_indices(trainer), {}, {}

    def on_test_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: ReconstructionModule, outputs: Step, batch: Sample, *_: Any
    ) -> None:
        """Measure a batch, and keep pictures of the first samples."""
        target = known_target(batch)
        images = {
            "reference": target,
            "zero-filled": pl_module.zero_filled(batch),
            "reconstruction": outputs["reconstruction"],
        }
        results = _results(pl_module, batch, images, self._untrained(pl_module, batch), outputs["seconds"])
        for result, mask, *of_sample in zip(results, batch.mask, *images.values(), strict=True):
            index = next(self._indices)
            panel = cine = None
            if index == 0:
                self._matrix = CASORATI if target.is_complex() else CHANNEL
                self._spectra = {name: _singular_values(image) for name, image in zip(images, of_sample, strict=True)}
            if index < self.panels:
                panel = panel_of(pl_module, result.name, tuple(of_sample), mask)
            if index < self.cines and target.is_complex():
                frames, captions = comparison(*of_sample)
                cine = Cine(result.name, captions, frames)
            self._tested[index] = Tested(result, panel, cine)

    def _untrained(self, module: ReconstructionModule, batch: Sample) -> dict[str, tuple[Tensor, float]]:
        """What methods without training make of a batch, and in how many seconds."""
        found = {}
        for name, network in self.untrained.items():
            with Stopwatch(module.device) as watch:
                image = network(batch.measurement, module.operator(batch))
            found[name] = image, watch.seconds
        return found

    def on_test_end(self, trainer: Trainer, pl_module: ReconstructionModule) -> None:  # type: ignore[override]
        """Write the files, the numbers first, and print the table.

        Raises:
            Exception: the first one of a part that could not be made, after all others were, and the table printed.
        """
        run = Path(trainer.log_dir or trainer.default_root_dir)  # every rank asks, for rank zero tells the others
        tested = list(gather(trainer, self._tested).values())
        if not tested:
            return
        evaluation = _evaluation(trainer, pl_module, run, [one.result for one in tested])
        evaluation.write(run / "test")
        panels = [one.panel for one in tested if one.panel is not None]
        cines = [one.cine for one in tested if one.cine is not None]
        failures = _failures(
            {
                "panels.png": lambda: _write_panels(trainer, panels, run / "test" / "panels.png"),
                "cine.gif": lambda: _write_cine(cines, run / "test" / "cine.gif"),
                "report.html": lambda: self._page(evaluation, cines, pl_module, run).write(run / "test/report.html"),
                "the table of the logger": lambda: log_table(trainer, "test/samples", *evaluation.table()),
            }
        )
        # A log file has no width: the table gets what it needs.
        Console(width=None if Console().is_terminal else LOG_WIDTH).print(_table(evaluation))
        for name, failure in failures.items():
            say(f"{name} could not be made: {first_line(failure)}", sys.stderr)
        shown = METRICS_FILE if failures else "report.html"
        say(f"Report: {run}/test/{shown}")
        for failure in failures.values():
            raise failure

    def _page(self, evaluation: Evaluation, cines: list[Cine], module: ReconstructionModule, run: Path) -> Page:
        config, panels = run / "config.yaml", run / "test" / "panels.png"
        return Page(
            evaluation,
            methods([evaluation, *self.baselines]),
            panels if panels.is_file() else None,
            cines,
            self._figures(evaluation, module),
            config.read_text(encoding="utf-8") if config.is_file() else None,
            [objection for baseline in self.baselines for objection in objections(evaluation, baseline)],
        )

    def _figures(self, evaluation: Evaluation, module: ReconstructionModule) -> dict[str, Any]:
        values = {name: found.numpy() for name, found in self._spectra.items()}
        figures: dict[str, Any] = {
            f"Singular values of {self._matrix} of {evaluation.samples[0].name}": spectra(values)
        }
        steps = trained_low_rank_steps(module.network)
        if steps:
            figures["Threshold of each iteration"] = thresholds(
                [(step.threshold_logit.sigmoid().item(), step.threshold_unit) for step in steps]
            )
        if evaluation.checkpoint is not None:
            watched = Path(evaluation.checkpoint).parent.parent / "spectrum.png"
            figures |= {"Singular values inside the network, while it trained": watched} if watched.is_file() else {}
        return figures


def _failures(parts: Mapping[str, Callable[[], None]]) -> dict[str, Exception]:
    """Make each part of a report, whatever becomes of the others; what those that could not be made raised."""
    failures = {}
    for name, make in parts.items():
        try:
            make()
        except Exception as error:  # noqa: BLE001  raised when all is done
            failures[name] = error
    return failures


def _write_panels(trainer: Trainer, panels: Sequence[Panel], path: Path) -> None:
    path.unlink(missing_ok=True)  # no older one may take its place in the page
    encoded = draw_panels(panels)
    write_whole(path, encoded)
    log_picture(trainer, "test/pictures", encoded)


def _write_cine(cines: Sequence[Cine], path: Path) -> None:
    if cines:
        write_whole(path, animation(cines[0].frames, cines[0].captions))


def _results(
    module: ReconstructionModule,
    batch: Sample,
    images: Mapping[str, Tensor],
    untrained: Mapping[str, tuple[Tensor, float]],
    seconds: float,
) -> Iterator[SampleResult]:
    target = images["reference"]
    norms = torch.linalg.vector_norm(target.flatten(1), dim=1) * batch.scale
    ours, zeros, *others = (
        _measure(module, image, target)
        for image in (images["reconstruction"], images["zero-filled"], *(image for image, _ in untrained.values()))
    )
    times = {"reconstruction": seconds} | {name: taken for name, (_, taken) in untrained.items()}
    of_each = {name: taken / len(batch.name) for name, taken in times.items()}
    columns = batch.name, batch.origin, batch.mask.cpu(), norms.tolist(), ours, zeros
    for index, (name, origin, mask, norm, after, before) in enumerate(zip(*columns, strict=True)):
        hashed = hashlib.sha256(mask.numpy().tobytes()).hexdigest()[:16]
        compared = {method: values[index] for method, values in zip(untrained, others, strict=True)}
        yield SampleResult(name, origin, hashed, norm, after, before, compared, of_each)


def _measure(module: ReconstructionModule, image: Tensor, target: Tensor) -> list[Values]:
    columns = {}
    for name, metric in module.metrics().items():
        values = metric.function(image, target)
        counts = is_defined(values, target)
        columns[name] = [value if count else None for value, count in zip(values.tolist(), counts, strict=True)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _singular_values(image: Tensor) -> Tensor:
    """Singular values of the Casorati matrix of a complex series, or of the first channel of another image."""
    values: Tensor = torch.linalg.svdvals((casorati(image) if image.is_complex() else image[0]).cpu())
    return values


def _evaluation(trainer: Trainer, module: ReconstructionModule, run: Path, samples: list[SampleResult]) -> Evaluation:
    checkpoint = None if trainer.ckpt_path is None else str(trainer.ckpt_path)
    return Evaluation(
        run=str(run),
        network=type(module.network).__name__,
        parameters=sum(parameter.numel() for parameter in module.network.parameters()),
        seed=getattr(getattr(trainer, "datamodule", None), "seed", None),
        checkpoint=checkpoint,
        command=command_to_repeat(run, checkpoint),
        versions={"lowrank_unroll": lowrank_unroll.__version__}
        | {package: version(package) for package in VERSIONS_OF}
        | {"Python": platform.python_version(), "on": f"{platform.system()} {platform.machine()}"},
        samples=samples,
    )


def _table(evaluation: Evaluation) -> Table:
    table = Table(
        title=Text(f"Test on {one_line(evaluation.origin)} data: reconstruction (zero-filled)"),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("image", overflow="fold")
    for metric in evaluation.metrics:
        table.add_column(Text(one_line(heading(metric).text)), justify="right")
    table.add_column("seconds", justify="right")
    for sample in evaluation.samples:
        pairs = zip(sample.reconstruction.values(), sample.zero_filled.values(), strict=True)
        cells = [f"{number(after)} ({number(before)})" for after, before in pairs]
        table.add_row(Text(one_line(sample.name)), *cells, number(sample.seconds.get("reconstruction")))
    table.add_section()
    summary = {"mean (std)": evaluation.reconstructions(), "zero-filled": evaluation.zero_filled()}
    times = {"mean (std)": evaluation.seconds()} | {name: evaluation.seconds(name) for name in evaluation.untrained()}
    for name, rows in (summary | evaluation.untrained()).items():
        cells = [mean_and_spread(rows, metric) for metric in evaluation.metrics]
        table.add_row(one_line(name), *cells, number(times.get(name)))
    return table
