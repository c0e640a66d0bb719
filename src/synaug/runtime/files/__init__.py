"""Change files inside folders of ours: descriptors, locks, names and removal.  Callers use ``runtime.storage``."""
