"""Change files inside folders that synaug owns: descriptors, locks, names, removal. Use it via ``runtime.storage``."""
