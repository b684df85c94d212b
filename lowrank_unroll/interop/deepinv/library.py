"""The library itself, an optional dependency."""

from lowrank_unroll.extras import import_extra

deepinv = import_extra("deepinv", "interop", "lowrank_unroll.interop.deepinv")
