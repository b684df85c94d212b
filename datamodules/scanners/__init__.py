"""Raw data from scanners, prepared as series of images with the sensitivities of their coils."""
