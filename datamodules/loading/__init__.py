"""Base DataModule with exact resuming; arrays that are read from files window by window; crops; caches."""
