"""The library itself, an optional dependency."""

from lowrank_unroll.extras import import_extra

deepinv = import_extra("deepinv", "deepinv", "lowrank_unroll.interop.deepinv")
