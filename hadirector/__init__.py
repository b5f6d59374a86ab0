"""hadirector: a high-availability director for Linux Virtual Server."""
