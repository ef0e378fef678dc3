"""`unipan train --resume`: the run as it was, or one sentence about what it cannot be continued with."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unipan.build import build_network
from unipan.checkpoint_header import read_header
from unipan.datasets.panoptic_data import PanopticData
from unipan.panoptic.categories import Categories
from unipan.presets import preset
from unipan.training.options import RESUME_STATE, TrainOptions

if TYPE_CHECKING:
    from unipan.training.launch import Fabric
    from unipan.training.run_folder import RunRecord
    from unipan.training.trainer import Trainer


def asked_of(options: TrainOptions) -> dict[str, Any]:
    """What the command line asked of a run, before it was fitted to data, time and processes."""
    return {"config": asdict(options.config), "minutes": options.minutes}


def resume(
    fabric: "Fabric", options: TrainOptions, data: PanopticData, val: PanopticData, record: "RunRecord"
) -> "Trainer":
    """A trainer that continues from the run's last checkpoint.

    Raises:
        FileNotFoundError: nothing to resume.
        ValueError: data, classes, number of processes or options differ from the run's.
    """
    from unipan.training.run_folder import NOT_RESUMED
    from unipan.training.trainer import Trainer

    state, config, origin = record.load_resume()
    changed = [name for name, value in record.origin.items() if name != "seen" and origin.get(name) != value]
    if changed:
        before, now = origin.get(changed[0]), record.origin[changed[0]]
        raise ValueError(
            f"--resume: the run in {record.folder} had {changed[0]} {before!r}, not {now!r}; an exact "
            "continuation needs the same"
        )
    _require_same_images(record, origin.get("seen"))
    record.asked = state.pop("asked", None)  # type: ignore[assignment]
    _require_same(options, record.asked, asdict(config), record.folder)
    categories = classes_of_run(state, record.folder)
    if categories != data.categories:
        raise ValueError(f"--resume: {record.folder} was trained on other classes; give the --data of that run")
    trainer = Trainer(fabric, config, data, val, record, build_network(config, categories))
    try:
        trainer.load_state(state)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"--resume: the state in {record.folder / RESUME_STATE} does not fit its own config "
            f"({str(error).strip()[:100].splitlines()[0]}); {NOT_RESUMED}"
        ) from error
    if fabric.is_global_zero:
        done = trainer.progress.iteration
        record.cut_log(done)
        record.say(f"--resume: {done} of {config.train.iterations} iterations are done; the run's own config is used")
    return trainer


def _require_same_images(record: "RunRecord", before: Any) -> None:
    """Look whether the datasets are those that the run saw, whatever their folders are called.

    Raises:
        ValueError: one of them has changed.
    """
    from unipan.training.run_folder import NOT_RESUMED

    seen = record.origin.get("seen", {})
    if not isinstance(before, dict):
        if any(seen.values()):
            record.say("note: this run was begun by an older unipan; whether its data are the same was not looked at")
        return
    for side, now in seen.items():
        then = before.get(side)
        if then == now:
            continue
        counts = [each["images"] if each else None for each in (then, now)]
        what = "as many images, but not the same ones or not the same annotations"
        if counts[0] != counts[1]:
            what = f"{counts[1]} images, not {counts[0]}"
        raise ValueError(
            f"--resume: {record.origin.get(side) or record.origin.get('data')} has changed since the run in "
            f"{record.folder} began ({what}, for {'training' if side == 'data' else 'validation'}); put it back, or "
            f"{NOT_RESUMED}"
        )


def _require_same(options: TrainOptions, asked: Any, config: dict[str, Any], folder: Path) -> None:
    """Look whether the command line asks for what the run is; what it does not mention stays as it was.

    Raises:
        ValueError: it asks for something else.
    """
    found = {"config": config}
    before = asked if isinstance(asked, dict) else {"minutes": options.minutes}  # unipan 0.2 kept the config alone
    default = {"config": asdict(preset(options.config.name)), "minutes": None}
    now, *same = (dict(_fields(each)) for each in (asked_of(options), default, before, found))
    for name, value in now.items():
        if all(value != other.get(name) for other in same):
            option = name.removeprefix("config.").replace("_", "-")
            raise ValueError(
                f"--resume: the run in {folder} had --{option} {same[-1].get(name, same[1].get(name))}, not {value}, "
                "and is continued as it was; leave the option out, or begin another run (another --out, --init "
                f"{folder / 'last.safetensors'})"
            )


def _fields(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _fields(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", list(value) if isinstance(value, tuple) else value


def classes_of_run(state: dict[str, object], folder: Path) -> Categories:
    """The classes of a run; states of unipan 0.2 and before do not hold them, but come with a checkpoint."""
    if "categories" in state:
        return Categories.from_coco(state["categories"], str(folder / RESUME_STATE))  # type: ignore[arg-type]
    return read_header(folder / "last.safetensors")[1]
