"""A resumed training goes on with the optimizer and scheduler of its checkpoint, but as they are given now."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lowrank_unroll.errors import UsageError

RATES = ("base_lrs", "_last_lr")  # in the state of a scheduler
OF_MODE = ("mode", "mode_worse", "best", "num_bad_epochs")  # in that of ReduceLROnPlateau

Arguments = Mapping[str, Any]


def take_what_is_given(
    checkpoint: dict[str, Any], given: Arguments, optimizer: Optimizer, scheduler: Any, watched: str
) -> None:
    """Change what a checkpoint holds of optimizer and scheduler to arguments that are given otherwise, and say so.

    A rate that a scheduler has changed meanwhile is what it would be had the training begun with the one given.

    Args:
        checkpoint: is changed; the arguments that it was trained with are among its ``hyper_parameters``.
        given: the arguments of the module now.
        optimizer: new, by the arguments now.
        scheduler: the same; None for a constant rate.
        watched: what a scheduler that lowers the rate at a plateau watches.

    Raises:
        UsageError: if optimizer or scheduler are of another class than in the checkpoint.
    """
    before = checkpoint.get("hyper_parameters", {})
    groups = [group for state in checkpoint["optimizer_states"] for group in state["param_groups"]]
    states = checkpoint["lr_schedulers"]
    for name, (old, new) in _changed(before, given, "optimizer").items():
        if name == "lr":
            _scale_rates(groups, states, old, optimizer)
        for group, fresh in zip(groups, optimizer.param_groups, strict=False):
            group.update({name: fresh[name]} if name in group and name != "lr" else {})
        now = f", now {groups[0]['lr']:.3g} by the scheduler" if name == "lr" and states else ""
        rank_zero_info(f"Note: --model.optimizer.{name} is {new} from here on{now}; it was {old}")
    fresh_state = {} if scheduler is None else scheduler.state_dict()
    lowers_at_plateau = isinstance(scheduler, ReduceLROnPlateau)
    for state in states if lowers_at_plateau else []:
        if state.get("mode") != fresh_state["mode"]:  # of a version that took the minimum of whatever is watched
            state.update({kept: fresh_state[kept] for kept in OF_MODE})
            rank_zero_info(f"Note: the scheduler goes by the {fresh_state['mode']}imum of {watched} from here on")
    for name, (old, new) in _changed(before, given, "scheduler").items():
        if name == "mode" and lowers_at_plateau:  # which the module chooses
            continue
        known = [state for state in states if name in state and name in fresh_state]
        for state in known:
            state[name] = fresh_state[name]
        rank_zero_info(
            f"Note: --model.scheduler.{name} is {new} from here on; it was {old}"
            if known
            else f"Note: --model.scheduler.{name} stays {old}, as the training began; {new} is not taken"
        )


def _changed(before: Arguments, given: Arguments, kind: str) -> dict[str, tuple[Any, Any]]:
    """The arguments of the optimizer or scheduler whose values differ: old and new; none where they are not known."""
    if kind not in before or kind not in given:  # built in Python
        return {}
    old, new = (arguments[kind] or {"class_path": "none"} for arguments in (before, given))
    was, becomes = (choice["class_path"].rpartition(".")[2] for choice in (old, new))
    if was != becomes:
        raise UsageError(
            f"the {kind} of the checkpoint is {was}, not {becomes}: resume with --model.{kind} "
            f"{'null' if was == 'none' else was}, or begin a new training with its weights, --model.weights FILE"
        )
    olds, news = (dict(choice.get("init_args") or {}) for choice in (old, new))
    return {
        name: (olds[name], value)
        for name, value in news.items()
        if name in olds and _plain(olds[name]) != _plain(value)
    }


def _scale_rates(groups: list[dict[str, Any]], states: list[dict[str, Any]], old: float, optimizer: Optimizer) -> None:
    """Scale the rates of all groups, and what schedulers keep of them, to the initial rates of a new optimizer."""
    for group, fresh in zip(groups, optimizer.param_groups, strict=False):
        was, becomes = group.get("initial_lr", old), fresh.get("initial_lr", fresh["lr"])
        group["lr"] = group["lr"] * becomes / was if was else becomes
        group.update({"initial_lr": becomes} if "initial_lr" in group else {})
    for state in states:
        _keep_rates(state, groups)


def _keep_rates(state: dict[str, Any], groups: list[dict[str, Any]]) -> None:
    rates = [group.get("initial_lr", group["lr"]) for group in groups], [group["lr"] for group in groups]
    state.update({name: values for name, values in zip(RATES, rates, strict=True) if name in state})
    for inner in state.get("_schedulers", []):
        _keep_rates(inner, groups)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
