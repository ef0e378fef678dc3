"""`python -m unipan` is the `unipan` command; DDP starts its processes this way."""

import sys

from unipan.cli import main

if __name__ == "__main__":
    sys.exit(main())
