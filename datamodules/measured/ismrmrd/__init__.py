"""Cartesian scans in ISMRMRD files, the format in which raw data are published: reading and writing."""
