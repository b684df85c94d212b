"""Datasets of raw data from scanners, prepared once, with the sensitivities of their coils."""
