"""`python -m hadirector`: the same program as `hadirector`."""

import sys

from hadirector.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
