"""`unipan demo`."""

import tyro


def main(arguments: list[str]) -> int:
    """Run the demo; returns the exit code."""
    from unipan import demo

    tyro.cli(demo.main, prog="unipan demo", args=arguments)
    return 0
