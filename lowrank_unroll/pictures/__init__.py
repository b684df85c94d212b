"""Drawing reconstructions, as pictures, as animations and as videos."""

from lowrank_unroll.pictures.animation import animation, comparison, magnitude_frames
from lowrank_unroll.pictures.notebook import Movie, Picture
from lowrank_unroll.pictures.overview import draw_overview
from lowrank_unroll.pictures.panel import Panel, defined_psnr, draw_panels, figure_of_panels, panel_of
from lowrank_unroll.pictures.side_by_side import side_by_side
from lowrank_unroll.pictures.video import write_video

__all__ = [
    "Movie",
    "Panel",
    "Picture",
    "animation",
    "comparison",
    "defined_psnr",
    "draw_overview",
    "draw_panels",
    "figure_of_panels",
    "magnitude_frames",
    "panel_of",
    "side_by_side",
    "write_video",
]
