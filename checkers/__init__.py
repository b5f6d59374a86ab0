"""Health checking as a library."""
