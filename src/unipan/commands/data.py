"""`unipan data check|convert|show`."""

from importlib import import_module

from unipan.terminal import tell

VERBS = {
    "check": "find everything that is wrong in a COCO panoptic dataset, and write a repaired copy",
    "convert": "read one format and write another",
    "show": "draw images with their panoptic maps on a page",
}
"""Each is a module `unipan.commands.data_VERB` with a `main(arguments) -> exit code`."""

HELP = f"""\
usage: unipan data VERB [options]

Check, convert and show datasets.

verbs:
{"".join(f"  {verb:<10}{text}{chr(10)}" for verb, text in VERBS.items())}
`unipan data VERB --help` lists a verb's options, `unipan data convert --help` all formats.
"""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    verb, *rest = arguments or [""]
    if verb in VERBS:
        return int(import_module(f"unipan.commands.data_{verb}").main(rest))
    if verb in ("-h", "--help"):
        tell(HELP.rstrip("\n"))
        raise SystemExit(0)
    raise ValueError(f"data: there is no verb {verb!r}; choose one of {', '.join(VERBS)}")
