"""Low-rank deep unrolled networks for inverse imaging, with the exact gradient of singular value shrinkage."""

from importlib.metadata import version

__version__ = version("lowrank-unroll")
