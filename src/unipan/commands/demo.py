"""`unipan demo`: the options are in `unipan.demo`, which `python -m unipan.demo` shares."""

from unipan.demo import main

__all__ = ["main"]
