"""Drawing reconstructions, as pictures and as animations."""

from lowrank_unroll.pictures.animation import animation, comparison, side_by_side
from lowrank_unroll.pictures.overview import draw_overview
from lowrank_unroll.pictures.panel import Panel, draw_panels, panel_of

__all__ = [
    "Panel",
    "animation",
    "comparison",
    "draw_overview",
    "draw_panels",
    "panel_of",
    "side_by_side",
]
