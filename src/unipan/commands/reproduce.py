"""`unipan reproduce TABLE`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import Flag, JsonFile, Overwrite, entry
from unipan.reproduction.numbers import check_counts
from unipan.reproduction.paper_tables import table_names
from unipan.terminal import tell


def reproduce(
    table: Annotated[Positional[str], arg(metavar="TABLE")],
    /,
    *,
    data: Annotated[str, arg(metavar="scenes|DIR")] = "scenes",
    seeds: Annotated[int, arg(metavar="N")] = 3,
    budget: Annotated[float, arg(metavar="MINUTES")] = 10.0,
    iterations: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None,
    panoptic: Annotated[float, arg(metavar="WEIGHT")] = 1.0,
    jobs: Annotated[int, arg(metavar="N")] = 2,
    runs: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None,
    records: Annotated[Path, arg(metavar="DIR")] = Path("runs/records"),
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None,
    from_records: Flag = False,
    overwrite: Overwrite = False,
    accelerator: Literal["auto", "cpu", "gpu"] = "auto",
    json_file: JsonFile = None,
) -> Outcome:
    """Train the networks of one of the paper's tables on your data, and print the table next to the paper's rows.

    A finished training leaves a record and is not repeated; an interrupted one is continued.

    Args:
        table: table1, table2, tableF, tableG, tableH, tableI or speed; several with commas, or `all`.
        data: `scenes`, the built-in generator; or a folder with train/ and val/ in COCO panoptic format.
        seeds: Trainings of each network, with seeds 0, 1, ...
        budget: Minutes for one training of the largest network (D); the others get as many iterations and take
            less time.
        iterations: Number of iterations, instead of --budget.
        panoptic: Weight of the panoptic matching loss in the models that have it; the paper's is 1 on Cityscapes, 0.1
            on COCO. A table is made of the records of one weight and of the models without that loss.
        jobs: Number of trainings at the same time; they share the cores.
        runs: Folder for checkpoints and logs; runs/reproduce/NAME by default.
        records: Folder of the records, one small JSON per finished training; ours are in experiments/reproduce.
        out: Also write the tables to this Markdown file; if it has <!-- TABLE --> and <!-- /TABLE -->, only what stands
            between them is replaced.
        from_records: Train nothing, and make the tables from the records.
        overwrite: see `options.Overwrite`.
        accelerator: Where to train; auto takes a GPU if there is one.
    """
    names = table_names(table)
    check_counts(seeds, jobs, iterations, budget, panoptic)
    runs = runs or Path("runs/reproduce") / Path(data).name
    check_request(data, records, None if from_records else runs)
    claim_files(out, json_file, names, overwrite)
    if not from_records:
        tell(f"{', '.join(names)} on {data}, {seeds} seed{'s' * (seeds > 1)}: loading PyTorch ...", error=True)
    from unipan.files import write_atomically
    from unipan.reproduction.request import Request
    from unipan.reproduction.run import run, training_scores
    from unipan.reproduction.tables import page_with

    request = Request(names, data, range(seeds), budget, iterations, jobs, runs, records, accelerator, panoptic)
    tables = run(request, train=not from_records)
    tell("\n".join(tables.values()))
    if out is not None:
        write_atomically(out, page_with(out, tables).encode())
        tell(f"written to {out}", error=True)
    return Outcome({"tables": tables, "trainings": training_scores(request)})


def claim_files(out: Path | None, json_file: Path | None, names: Sequence[str], overwrite: bool) -> None:
    """Raises ValueError unless what `--out` and `--json` name may be written."""
    from unipan.outputs import Outputs

    if out is not None:
        claim_page(out, names, overwrite)
    Outputs("reproduce", overwrite=overwrite).claim_optional(json_file, "--json")


def claim_page(out: Path, names: Sequence[str], overwrite: bool) -> None:
    """Raises ValueError unless `--out` is free, a page that unipan wrote, or one with places for the tables."""
    from unipan.files import require_file

    require_file(out, "--out")
    from unipan.outputs import Outputs
    from unipan.reproduction.paper_tables import TABLES
    from unipan.reproduction.tables import has_places, page_with

    page_with(out, dict.fromkeys(names, ""))
    first_line = f"## {TABLES[names[0]].title}\n".encode()
    Outputs("reproduce", overwrite=overwrite or has_places(out)).claim(out, "--out", first_line)


def check_request(data: str, records: Path, runs: Path | None) -> None:
    """Look, before torch is imported, whether everything can be read and written; `runs` is None if nothing is trained.

    Raises:
        FileNotFoundError, ValueError: what cannot.
    """
    from unipan.datasets.sources import is_scenes, train_and_val
    from unipan.files import require_folder

    if runs is not None:
        require_folder(records, "--records")
        require_folder(runs, "--runs")
    elif not records.is_dir():
        raise FileNotFoundError(f"--records {records}: no such folder; run without --from-records first")
    if not is_scenes(data):
        train_and_val(data)


main = entry(reproduce, "reproduce")
