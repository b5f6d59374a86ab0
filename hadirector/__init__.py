"""hadirector: a high-availability director for Linux Virtual Server."""

__version__ = "0.1.0"
