"""l4guide: which GPU, and which attention implementation, for this workload."""

__version__ = "0.1.0"
