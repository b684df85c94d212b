"""Measured k-space: files of scanners and of others, coils, readout, and the base of DataModules that predict it."""
