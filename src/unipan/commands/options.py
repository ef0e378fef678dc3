"""Options that several verbs share, as types for tyro."""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from unipan.config import Fusion

CheckpointChoice = Annotated[
    Positional[str],
    arg(metavar="CHECKPOINT", help="A .safetensors file, or the name of a bundled one (`scenes`)."),
]
FusionChoice = Annotated[
    Fusion | None,
    arg(
        metavar="affinity|potential|heuristic|upsnet",
        help="Argmax of P, argmax of Psi, heuristic fusion, or UPSNet's fusion; by default the checkpoint's own.",
        help_behavior_hint="",
    ),
]
Device = Annotated[
    str, arg(metavar="DEVICE", help="Where the network runs: cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.")
]
JsonFile = Annotated[Path | None, arg(name="json", metavar="FILE", help_behavior_hint="")]
OptionalFile = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
OptionalFolder = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
Folder = Annotated[Path, arg(metavar="DIR")]
Flag = Annotated[bool, FlagCreatePairsOff]
