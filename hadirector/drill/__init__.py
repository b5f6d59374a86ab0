"""Drills: faults made on purpose, what they cost the clients, and whether that was allowed."""
