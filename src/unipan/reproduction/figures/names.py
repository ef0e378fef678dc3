"""The files of `unipan figures`, whose names are known before anything is drawn."""

FIGURE_NUMBERS = ("1", "6", "7", "I", "J", "K")
"""The paper's figures that can be drawn of a checkpoint."""


def figure_file(number: str, jpeg: bool) -> str:
    """File name of a figure's picture."""
    return f"figure-{number}.{'jpg' if jpeg else 'png'}"


def figure_files(jpeg: bool) -> list[str]:
    """Every file that may be written."""
    return [*(figure_file(number, jpeg) for number in FIGURE_NUMBERS), "index.html"]
