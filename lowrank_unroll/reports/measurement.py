"""Metrics of the samples of a test, and the evaluation that they make up."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.metrics import SampleMean, defined_values
from lowrank_unroll.names import unique_names
from lowrank_unroll.reports.evaluation import TESTED, Evaluation, MetricValues, SampleResult
from lowrank_unroll.reports.headings import Heading
from lowrank_unroll.reports.reproduction import command_to_repeat, versions
from lowrank_unroll.sample import Sample, known_target

Metric = Callable[[Tensor, Tensor], Tensor]


class TimedImages(NamedTuple):
    """Reconstructions of a batch, and the seconds that they took together."""

    images: Tensor
    seconds: float


def method_names(networks: Sequence[nn.Module]) -> list[str]:
    """Return a name for each network: its class, and the settings in which several of one class differ."""
    names = []
    for network in networks:
        own = _settings(network)
        others = [_settings(other) for other in networks if type(other) is type(network)]
        differing = [
            f"{key} {_text(value)}" for key, value in own.items() if any(other.get(key) != value for other in others)
        ]
        names.append(type(network).__name__ + (f" ({', '.join(differing)})" if differing else ""))
    return unique_names(names)


def _settings(network: nn.Module) -> dict[str, Any]:
    """Return the attributes of a network that are numbers or words."""
    return {
        name: value
        for name, value in vars(network).items()
        if name != "training" and not name.startswith("_") and isinstance(value, int | float | str | list | tuple)
    }


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def sample_results(
    batch: Sample, zero_filled: Tensor, methods: Mapping[str, TimedImages], metrics: Mapping[str, Metric]
) -> list[SampleResult]:
    """Return the metrics of each sample of a batch.

    Args:
        batch: with targets.
        zero_filled: the adjoint reconstructions of the batch.
        methods: its reconstructions by name, of the network that is tested as "reconstruction", and of methods without
            training.
        metrics: called as ``metric(reconstruction, target)``, return a value for each sample.
    """
    target = known_target(batch)
    norms = (torch.linalg.vector_norm(target.flatten(1), dim=1) * batch.scale).tolist()
    before = _measure(metrics, zero_filled, target)
    after = {name: _measure(metrics, images, target) for name, (images, _) in methods.items()}
    seconds = {name: taken / len(batch.name) for name, (_, taken) in methods.items()}
    return [
        SampleResult(
            batch.name[index],
            batch.origin[index],
            mask=hashlib.sha256(mask.numpy().tobytes()).hexdigest()[:16],
            norm=norms[index],
            reconstruction=after[TESTED][index],
            zero_filled=before[index],
            untrained={name: values[index] for name, values in after.items() if name != TESTED},
            seconds=seconds,
        )
        for index, mask in enumerate(batch.mask_on_grid().cpu())
    ]


def _measure(metrics: Mapping[str, Metric], images: Tensor, target: Tensor) -> list[MetricValues]:
    columns = {name: defined_values(metric, images, target) for name, metric in metrics.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def evaluation_of(
    run: Path,
    network: nn.Module,
    checkpoint: str | None,
    seed: int | None,
    samples: Sequence[SampleResult],
    metrics: Mapping[str, SampleMean],
    adjoint_name: str,
) -> Evaluation:
    """Return the evaluation of a test that has just ended.

    Args:
        run: folder of the run.
        network: that was tested.
        checkpoint: file of its weights; None if there is none.
        seed: of the data; None if unknown.
        samples: the results, in order.
        metrics: by name, which say how they are to be read.
        adjoint_name: name of the adjoint reconstruction.
    """
    return Evaluation(
        run=str(run),
        network=type(network).__name__,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        seed=seed,
        checkpoint=checkpoint,
        command=command_to_repeat(run, checkpoint),
        versions=versions(),
        samples=list(samples),
        headings={
            name: Heading(metric.label or name, metric.unit, metric.higher_is_better)
            for name, metric in metrics.items()
        },
        adjoint_name=adjoint_name,
    )
