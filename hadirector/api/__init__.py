"""The local API of the director process."""
