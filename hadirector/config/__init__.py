"""The configuration of a pair: `model` is what the program uses, `loader` reads it from a file."""
