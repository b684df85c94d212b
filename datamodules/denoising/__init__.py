"""Series of images with noise of known level."""
