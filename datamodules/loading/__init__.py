"""Loading batches: the DataModule that every dataset extends, which process gets which samples, and resuming."""
