"""Modules inside the networks: convolutions of images and series, their compilation, and iterations of FISTA."""
