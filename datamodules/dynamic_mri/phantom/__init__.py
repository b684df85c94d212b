"""A synthetic cine of a beating heart."""

from datamodules.dynamic_mri.phantom.beating_heart import beating_heart

__all__ = ["beating_heart"]
