"""Modules inside the networks: convolutions of images and series, their compilation, and steps of FISTA."""
