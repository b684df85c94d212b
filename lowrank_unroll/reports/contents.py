"""The page of a test, put together from its evaluation, its pictures and the files in the folder of its run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowrank_unroll.prox import casorati, trained_low_rank_steps
from lowrank_unroll.reports.comparison import methods, objections
from lowrank_unroll.reports.evaluation import Evaluation
from lowrank_unroll.reports.figures import spectra, thresholds
from lowrank_unroll.reports.page import Page, PlayedSeries

CASORATI, CHANNEL = "the Casorati matrix (time x pixels)", "the first channel"


def page_of_test(
    evaluation: Evaluation,
    baselines: Sequence[Evaluation],
    series: Sequence[PlayedSeries],
    images: Mapping[str, Tensor],
    network: nn.Module,
    *,
    is_series: bool,
) -> Page:
    """Return the page of a test whose run folder may hold ``config.yaml`` and ``test/panels.png``.

    Args:
        evaluation: of the test.
        baselines: tests to compare it to.
        series: to play.
        images: the first sample's, by name, whose singular values are drawn.
        network: that was tested.
        is_series: the images are series (time, height, width), not (channel, height, width).
    """
    run = Path(evaluation.run)
    config, panels = run / "config.yaml", run / "test" / "panels.png"
    return Page(
        evaluation,
        methods([evaluation, *baselines]),
        panels if panels.is_file() else None,
        series,
        {**_spectra_figure(evaluation.samples[0].name, images, is_series), **_network_figures(evaluation, network)},
        config.read_text(encoding="utf-8") if config.is_file() else None,
        [objection for baseline in baselines for objection in objections(evaluation, baseline)],
    )


def _spectra_figure(name: str, images: Mapping[str, Tensor], is_series: bool) -> dict[str, Any]:
    matrix = CASORATI if is_series else CHANNEL
    matrices = {key: casorati(image) if is_series else image[0] for key, image in images.items()}
    values = {key: torch.linalg.svdvals(of_key.cpu()).numpy() for key, of_key in matrices.items()}
    return {f"Singular values of {matrix} of {name}": spectra(values)}


def _network_figures(evaluation: Evaluation, network: nn.Module) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if steps := trained_low_rank_steps(network):
        figures["Threshold of each iteration"] = thresholds(
            [(step.threshold_logit.sigmoid().item(), step.threshold_unit) for step in steps]
        )
    if evaluation.checkpoint is not None:
        recorded = Path(evaluation.checkpoint).parent.parent / "spectrum.png"
        if recorded.is_file():
            figures["Singular values inside the network, while it trained"] = recorded
    return figures
