"""Raw data as scanners write them: their files, noise and coils."""
