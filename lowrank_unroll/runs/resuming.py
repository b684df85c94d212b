"""Optimizer and scheduler of a resumed training: their state is that of the checkpoint, their arguments are new."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lowrank_unroll.errors import UsageError

RATES = ("base_lrs", "_last_lr")  # in the state of a scheduler
MODE = ("mode", "mode_worse", "best", "num_bad_epochs")  # in the state of ReduceLROnPlateau

Arguments = Mapping[str, Any]


def apply_arguments(
    checkpoint: dict[str, Any], arguments: Arguments, optimizer: Optimizer, scheduler: Any, watched: str
) -> None:
    """Change the states of optimizer and scheduler in a checkpoint to new arguments, and print each change.

    A learning rate that a scheduler has changed is scaled as if the training had begun with the new rate.

    Args:
        checkpoint: changed in place; its ``hyper_parameters`` hold the arguments that it was trained with.
        arguments: of the module now.
        optimizer: built with them.
        scheduler: built with them; None for a constant rate.
        watched: name of the metric that a plateau scheduler watches.

    Raises:
        UsageError: if optimizer or scheduler is of another class than in the checkpoint.
    """
    before = checkpoint.get("hyper_parameters", {})
    groups = [group for state in checkpoint["optimizer_states"] for group in state["param_groups"]]
    states = checkpoint["lr_schedulers"]
    for name, (old, new) in _changed(before, arguments, "optimizer").items():
        if name == "lr":
            _scale_rates(groups, states, old, optimizer)
        for group, fresh in zip(groups, optimizer.param_groups, strict=False):
            group.update({name: fresh[name]} if name in group and name != "lr" else {})
        now = f", now {groups[0]['lr']:.3g} by the scheduler" if name == "lr" and states else ""
        rank_zero_info(f"Note: --model.optimizer.{name} is {new} from here on{now}; it was {old}")
    fresh_state = {} if scheduler is None else scheduler.state_dict()
    lowers_at_plateau = isinstance(scheduler, ReduceLROnPlateau)
    for state in states if lowers_at_plateau else []:
        if state.get("mode") != fresh_state["mode"]:  # an early version always took the minimum
            state.update({kept: fresh_state[kept] for kept in MODE})
            rank_zero_info(f"Note: the scheduler goes by the {fresh_state['mode']}imum of {watched} from here on")
    for name, (old, new) in _changed(before, arguments, "scheduler").items():
        if name == "mode" and lowers_at_plateau:  # the module chooses it
            continue
        known = [state for state in states if name in state and name in fresh_state]
        for state in known:
            state[name] = fresh_state[name]
        rank_zero_info(
            f"Note: --model.scheduler.{name} is {new} from here on; it was {old}"
            if known
            else f"Note: --model.scheduler.{name} stays {old}, as the training began; {new} is not taken"
        )


def _changed(before: Arguments, now: Arguments, kind: str) -> dict[str, tuple[Any, Any]]:
    """Return old and new value of each changed argument of the optimizer or scheduler; none if built in Python."""
    if kind not in before or kind not in now:
        return {}
    old, new = (arguments[kind] or {"class_path": "none"} for arguments in (before, now))
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
    """Scale the rates of all groups, and their copies in schedulers, to the initial rates of a new optimizer."""
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
