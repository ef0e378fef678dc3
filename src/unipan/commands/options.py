"""Options that several verbs share, as types for tyro, and what makes a command of a function with options."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from unipan.commands.json_output import Outcome, json_output, with_json_target
from unipan.config import Fusion, Runtime
from unipan.option_parser import call_with_options
from unipan.outputs import signature

CheckpointChoice = Annotated[
    Positional[str],
    arg(
        metavar="CHECKPOINT",
        help="A .safetensors file, a bundled name (`scenes`), or hf:OWNER/NAME on the Hugging Face Hub.",
    ),
]
NetworkChoice = Annotated[
    Positional[str],
    arg(
        metavar="CHECKPOINT",
        help="A .safetensors file, a bundled name (`scenes`), hf:OWNER/NAME on the Hugging Face Hub, or the folder of "
        "an export.",
    ),
]
FusionChoice = Annotated[
    Fusion | None,
    arg(
        metavar="affinity|potential|heuristic|upsnet",
        help="Argmax of P, argmax of Psi, heuristic fusion or UPSNet's fusion; by default, that of the checkpoint.",
        help_behavior_hint="",
    ),
]
Device = Annotated[
    str, arg(metavar="DEVICE", help="Where the network runs: cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.")
]
PrecisionChoice = Annotated[
    Literal["32", "bf16"],
    arg(
        help="bf16 runs convolutions and matrix products in 16 bits: faster where the processor multiplies them "
        "natively (Intel AMX, AVX512_BF16, recent GPUs), but some pixels get another segment."
    ),
]
RuntimeChoice = Annotated[
    Runtime,
    arg(help="What runs the network: torch, the reference, or onnxruntime; auto takes torch if it is installed."),
]
SubmissionChoice = Annotated[
    Literal["cityscapes", "coco"] | None,
    arg(
        metavar="cityscapes|coco",
        help="Write for this test server, with its ids, file names and archives.",
        help_behavior_hint="",
    ),
]
JsonFile = Annotated[
    Path | None,
    arg(
        name="json",
        metavar="[FILE]",
        help="Write the results as JSON, to FILE or to standard output (keys: docs/json.md).",
        help_behavior_hint="",
    ),
]
OptionalFile = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
OptionalFolder = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
Folder = Annotated[Path, arg(metavar="DIR")]
Flag = Annotated[bool, FlagCreatePairsOff]
Overwrite = Annotated[
    bool,
    FlagCreatePairsOff,
    arg(help="Also replace files that unipan did not write; what the command reads is never replaced."),
]


def entry(command: Callable[..., Outcome | int | None], verb: str) -> Callable[[list[str]], int]:
    """The `main` of a command: it parses arguments into the function's parameters, and returns its exit code or 0.

    What `--json` asks for is written here, see `json_output`.
    """

    def main(arguments: list[str]) -> int:
        given = with_json_target(arguments)
        with json_output(given) as write:
            done = call_with_options(command, f"unipan {verb}", given)
            if isinstance(done, Outcome):
                write(({"generator": signature(verb)} if done.signed else {}) | done.content)
                return done.code
        return done or 0

    return main
