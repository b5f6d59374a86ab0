"""VRRP as a library and as a worker program."""
