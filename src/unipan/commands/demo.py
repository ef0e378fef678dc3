"""`unipan demo`."""

from pathlib import Path

from unipan.commands.options import Overwrite, RuntimeChoice, entry


def demo(
    out: Path = Path("runs/demo"),
    count: int = 60,
    seed0: int = 2_000_000,
    overwrite: Overwrite = False,
    runtime: RuntimeChoice = "auto",
) -> None:
    """Segment freshly drawn street scenes with the bundled checkpoint: a table here, the pictures in OUT/index.html.

    Args:
        out: folder of the page.
        count: how many scenes to draw and score.
        seed0: seed of the first scene.
        overwrite: see `options.Overwrite`.
        runtime: see `options.RuntimeChoice`.
    """
    from unipan.outputs import Outputs

    Outputs("demo", overwrite=overwrite).claim(out / "index.html", "--out")
    from unipan.demo.run import run_demo

    run_demo(out, count, seed0, runtime=runtime)


main = entry(demo, "demo")
