"""Series of images, and their simulated measurement by a scanner."""
