"""Drawings of reconstructions, as pictures, as animations and as videos."""

from lowrank_unroll.pictures.animation import animation, comparison, magnitude_frames
from lowrank_unroll.pictures.deprecated import defined_psnr as defined_psnr
from lowrank_unroll.pictures.deprecated import panel_of as panel_of
from lowrank_unroll.pictures.display import Movie, Picture
from lowrank_unroll.pictures.encoding import data_uri, encode_figure, encode_image
from lowrank_unroll.pictures.overview import draw_overview
from lowrank_unroll.pictures.panel import Panel, draw_panels, figure_of_panels, make_panel
from lowrank_unroll.pictures.side_by_side import side_by_side
from lowrank_unroll.pictures.video import write_video

__all__ = [
    "Movie",
    "Panel",
    "Picture",
    "animation",
    "comparison",
    "data_uri",
    "draw_overview",
    "draw_panels",
    "encode_figure",
    "encode_image",
    "figure_of_panels",
    "magnitude_frames",
    "make_panel",
    "side_by_side",
    "write_video",
]
