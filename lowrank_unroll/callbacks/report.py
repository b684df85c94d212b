"""Report of ``test``: a table, a page to share, and the numbers in files."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import first_line
from lowrank_unroll.files import write_whole
from lowrank_unroll.modules import ReconstructionModule, StepOutput
from lowrank_unroll.pictures import Panel, animation, comparison, draw_panels, make_panel
from lowrank_unroll.reports import (
    METRICS_FILE,
    PlayedSeries,
    SampleResult,
    TimedImages,
    evaluation_of,
    evaluation_table,
    method_names,
    page_of_test,
    read_evaluation,
    sample_results,
)
from lowrank_unroll.runs import Stopwatch
from lowrank_unroll.runs.folders import run_folder
from lowrank_unroll.runs.loggers import log_picture, log_table
from lowrank_unroll.runs.processes import gather_results, sampled_indices
from lowrank_unroll.sample import Sample, known_target
from lowrank_unroll.terminal import say, show

LOG_WIDTH = 120


class TestedSample(NamedTuple):
    """Result of a sample, and its pictures if it is one of the first."""

    result: SampleResult
    panel: Panel | None
    series: PlayedSeries | None


class TestReport(Callback):
    """Compare each test image's reconstruction with the adjoint one, from which it was made.

    Prints a table of every metric per image with mean (std), and writes into the folder `test` of the run:
    ``report.html``, which holds everything and can be sent to a colleague, ``metrics.csv``, ``metrics.json``,
    ``panels.png`` and, of series, ``cine.gif``. The standard deviation is over images, with n - 1. Several
    processes report together what one would.

    Args:
        panels: number of images that are shown, the first ones; at least one.
        cines: number of series that the page plays, the first ones.
        baselines: folders of finished tests to compare to in the page.
        untrained: methods without training to compare to, called as the network that is tested: they reconstruct the
            same samples, whole.

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
        self.untrained = dict(zip(method_names(untrained), untrained, strict=True))
        self._indices: Iterator[int] = iter(())
        self._tested: dict[int, TestedSample] = {}  # by index in the data set
        self._first_images: dict[str, Tensor] = {}

    def on_test_start(self, trainer: Trainer, pl_module: ReconstructionModule) -> None:  # type: ignore[override]
        """Forget an earlier test."""
        for network in self.untrained.values():
            network.to(pl_module.device)
        self._indices, self._tested, self._first_images = sampled_indices(trainer), {}, {}

    def on_test_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: ReconstructionModule, outputs: StepOutput, batch: Sample, *_: Any
    ) -> None:
        """Measure a batch, and keep pictures of the first samples."""
        images = {
            "reference": known_target(batch),
            pl_module.adjoint_name: pl_module.zero_filled(batch),
            "reconstruction": outputs["reconstruction"],
        }
        methods = {"reconstruction": TimedImages(outputs["reconstruction"], outputs["seconds"])}
        for name, network in self.untrained.items():
            with Stopwatch(pl_module.device) as watch:
                reconstruction = network(batch.measurement, pl_module.operator(batch))
            methods[name] = TimedImages(reconstruction, watch.seconds)
        metrics = {name: metric.function for name, metric in pl_module.metrics().items()}
        results = sample_results(batch, images[pl_module.adjoint_name], methods, metrics)
        for result, mask, *row in zip(results, batch.mask_on_grid().cpu(), *images.values(), strict=True):
            index = next(self._indices)
            panel = series = None
            if index == 0:
                self._first_images = _named_components(pl_module, dict(zip(images, row, strict=True)))
            if index < self.panels:
                colors_of_mask = pl_module.picture_of_mask(mask)
                panel = make_panel(
                    result.name,
                    tuple(row),
                    colors_of_mask,
                    pl_module.pictures,
                    metrics["psnr"],
                    pl_module.curves,
                    start_name=pl_module.adjoint_name,
                )
            if index < self.cines and pl_module.is_series(row[0]):
                frames, captions = comparison(row[0], row[1], row[2], pl_module.adjoint_name)
                series = PlayedSeries(result.name, captions, frames)
            self._tested[index] = TestedSample(result, panel, series)

    def on_test_end(self, trainer: Trainer, pl_module: ReconstructionModule) -> None:  # type: ignore[override]
        """Write the files, the numbers first, and print the table.

        Raises:
            Exception: the first one of a part that could not be made, after all others were, and the table printed.
        """
        run = run_folder(trainer)
        tested = list(gather_results(trainer, self._tested).values())
        if not tested:
            return
        checkpoint = None if trainer.ckpt_path is None else str(trainer.ckpt_path)
        seed = getattr(getattr(trainer, "datamodule", None), "seed", None)
        evaluation = evaluation_of(
            run,
            pl_module.network,
            checkpoint,
            seed,
            [one.result for one in tested],
            pl_module.metrics(),
            adjoint_name=pl_module.adjoint_name,
        )
        evaluation.write(run / "test")
        panels = [one.panel for one in tested if one.panel is not None]
        series = [one.series for one in tested if one.series is not None]

        def write_page() -> None:
            first = self._first_images
            is_series = any(map(pl_module.is_series, first.values()))
            page = page_of_test(evaluation, self.baselines, series, first, pl_module.network, is_series=is_series)
            page.write(run / "test" / "report.html")

        failures = _failures(
            {
                "panels.png": lambda: _write_panels(trainer, panels, run / "test" / "panels.png"),
                "cine.gif": lambda: _write_animation(series, run / "test" / "cine.gif"),
                "report.html": write_page,
                "the table of the logger": lambda: log_table(trainer, "test/samples", *evaluation.columns_and_rows()),
            }
        )
        # A log file has no width: the table gets what it needs.
        show(evaluation_table(evaluation), log_width=LOG_WIDTH)
        for name, failure in failures.items():
            say(f"{name} could not be made: {first_line(failure)}", sys.stderr)
        say(f"Report: {run}/test/{METRICS_FILE if failures else 'report.html'}")
        for failure in failures.values():
            raise failure


def _named_components(module: ReconstructionModule, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the components of images, with names such as "reconstruction, background"."""
    return {
        ", ".join(filter(None, (name, component))): one.cpu()
        for name, image in images.items()
        for component, one in module.split(image).items()
    }


def _failures(parts: Mapping[str, Callable[[], None]]) -> dict[str, Exception]:
    """Make each part of a report, and return the errors of those that could not be made."""
    failures = {}
    for name, make in parts.items():
        try:
            make()
        except Exception as error:  # noqa: BLE001  raised when all is done
            failures[name] = error
    return failures


def _write_panels(trainer: Trainer, panels: Sequence[Panel], path: Path) -> None:
    path.unlink(missing_ok=True)  # if the drawing fails, the page must not show the pictures of an earlier test
    encoded = draw_panels(panels)
    write_whole(path, encoded)
    log_picture(trainer, "test/pictures", encoded)


def _write_animation(series: Sequence[PlayedSeries], path: Path) -> None:
    if series:
        write_whole(path, animation(series[0].frames, series[0].captions))
