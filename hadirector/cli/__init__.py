"""The command line: `main` finds the verb, one file per verb, and nothing here decides."""
