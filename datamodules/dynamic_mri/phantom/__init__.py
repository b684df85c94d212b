"""Synthetic cines of a beating heart: one drawn at pixels, and one whose k-space is known in closed form."""

from datamodules.dynamic_mri.phantom.beating_heart import beating_heart
from datamodules.dynamic_mri.phantom.elliptic_heart import elliptic_heart

__all__ = ["beating_heart", "elliptic_heart"]
