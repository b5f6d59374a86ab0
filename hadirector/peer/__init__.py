"""The peer channel: what the two directors of a pair tell each other, and what follows from it."""
