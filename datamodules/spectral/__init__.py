"""Multi- and hyperspectral cubes, of which a part of the values, bands or pixels is measured."""
