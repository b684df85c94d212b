"""Low-rank deep unrolled networks for inverse imaging, with the exact gradient of singular value shrinkage."""

__version__ = "0.2.0"
