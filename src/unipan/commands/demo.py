"""`unipan demo`."""

from pathlib import Path

from unipan.commands.json_output import Outcome
from unipan.commands.options import JsonFile, Overwrite, RuntimeChoice, entry


def demo(
    out: Path = Path("runs/demo"),
    count: int = 60,
    seed0: int = 2_000_000,
    overwrite: Overwrite = False,
    runtime: RuntimeChoice = "auto",
    json_file: JsonFile = None,
) -> Outcome:
    """Segment new drawn street scenes with the bundled checkpoint; print a table, and show pictures in OUT/index.html.

    Args:
        out: Folder of the page.
        count: Number of scenes to draw and score.
        seed0: Seed of the first scene.
        overwrite: see `options.Overwrite`.
        runtime: see `options.RuntimeChoice`.
        json_file: see `options.JsonFile`.
    """
    from unipan.outputs import Outputs

    outputs = Outputs("demo", overwrite=overwrite)
    outputs.claim(out / "index.html", "--out")
    outputs.claim_optional(json_file, "--json")
    from unipan.demo.run import run_demo

    page, qualities = run_demo(out, count, seed0, runtime=runtime)
    scores = {fusion: quality.compute().to_json() for fusion, quality in qualities.items()}
    return Outcome({"page": str(page), "scores": scores})


main = entry(demo, "demo")
