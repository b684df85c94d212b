"""Series of images, and the simulation of how a scanner measures them."""
