"""The switch of compiled code: with LOWRANK_UNROLL_NATIVE=0 in the environment PyTorch computes all."""

import os

SWITCH = "LOWRANK_UNROLL_NATIVE"
OFF = {"0", "false", "no", "off"}


def switched_on() -> bool:
    """Return whether code may be compiled and used."""
    return os.environ.get(SWITCH, "").strip().lower() not in OFF
