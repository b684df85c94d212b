"""Colour images, of which a random subset of the values is measured."""
