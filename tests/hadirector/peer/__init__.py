"""Tests of the peer channel."""
