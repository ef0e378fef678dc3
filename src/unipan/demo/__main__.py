"""`python -m unipan.demo`."""

import sys

from unipan.demo import main

if __name__ == "__main__":
    sys.exit(main())
