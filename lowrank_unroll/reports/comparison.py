"""Comparison of finished tests: paired differences, and objections to the comparison."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from lowrank_unroll.names import one_line, unique_names
from lowrank_unroll.reports.evaluation import Evaluation, MetricValues, SampleResult
from lowrank_unroll.reports.headings import Heading

CONFIDENCE = 0.95
SAME_NORM = 1e-3  # relative; far above the rounding of float32, far below what separates two images


class Difference(NamedTuple):
    """Mean of the paired differences of a metric, and its confidence interval by Student's t distribution.

    None where less than two samples have both values.
    """

    mean: float
    low: float
    high: float


def paired_difference(one: Evaluation, other: Evaluation, metric: str) -> Difference | None:
    """Return the difference other - one of a metric over the samples that both tests have."""
    pairs = [
        (ours.reconstruction.get(metric), theirs.reconstruction.get(metric)) for ours, theirs in common(one, other)
    ]
    return difference_of([after - before for before, after in pairs if before is not None and after is not None])


def difference_of(differences: Sequence[float]) -> Difference | None:
    """Return the mean of differences between samples, and its confidence interval."""
    if len(differences) < 2 or not all(map(math.isfinite, differences)):  # noqa: PLR2004
        return None
    mean, error = float(np.mean(differences)), float(stats.sem(differences))
    if error == 0:
        return Difference(mean, mean, mean)
    low, high = stats.t.interval(CONFIDENCE, len(differences) - 1, loc=mean, scale=error)
    return Difference(mean, float(low), float(high))


def common_headings(evaluations: Sequence[Evaluation]) -> dict[str, Heading]:
    """Return the headings of metrics that any of several tests knows, that of the first which does."""
    return {metric: heading for one in reversed(evaluations) for metric, heading in one.headings.items()}


def common(one: Evaluation, other: Evaluation) -> list[tuple[SampleResult, SampleResult]]:
    """Return the pairs of samples of two tests that have the same name."""
    ours, theirs = _by_name(one), _by_name(other)
    return [(sample, theirs[name]) for name, sample in ours.items() if name in theirs]


def _by_name(evaluation: Evaluation) -> dict[tuple[str, int], SampleResult]:
    """Return the samples by name and, where several share a name, by number."""
    seen: Counter[str] = Counter()
    found = {}
    for sample in evaluation.samples:
        found[sample.name, seen[sample.name]] = sample
        seen[sample.name] += 1
    return found


def objections(one: Evaluation, other: Evaluation) -> list[str]:
    """Return the reasons not to compare two tests: other samples, data, masks or seeds."""
    pairs = common(one, other)
    label = one_line(f"{other.run} against {one.run}")
    found = []
    missing = len(one.samples) + len(other.samples) - 2 * len(pairs)
    if missing:
        found.append(f"{label}: {missing} samples are in one test only, and left out of the differences.")
    unlike = sum(abs(ours.norm - theirs.norm) > SAME_NORM * max(ours.norm, theirs.norm) for ours, theirs in pairs)
    if unlike:
        found.append(f"{label}: the reference images differ in {unlike} of {len(pairs)} samples of the same name.")
    masks = sum(ours.mask != theirs.mask for ours, theirs in pairs)
    if masks:
        found.append(f"{label}: the masks differ in {masks} of {len(pairs)} samples.")
    if one.seed != other.seed:
        found.append(f"{label}: the seed of the data is {other.seed}, not {one.seed}.")
    return found


def methods(evaluations: Sequence[Evaluation]) -> dict[str, list[MetricValues]]:
    """Return the metrics of each test by the name of its network, and of its run where networks coincide.

    A test that is given several times gets a number.
    """
    networks = Counter(evaluation.network for evaluation in evaluations)
    names = unique_names(
        evaluation.network if networks[evaluation.network] == 1 else f"{evaluation.network} ({evaluation.run})"
        for evaluation in evaluations
    )
    return {name: evaluation.reconstructions() for name, evaluation in zip(names, evaluations, strict=True)}
