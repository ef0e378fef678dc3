"""`unipan train`: examine the data, fit the config to it, build the network, and start the trainer."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unipan.build import build_network, require_both_kinds
from unipan.checkpoint import Transfer, transfer
from unipan.config import Config, DetectionConfig
from unipan.datasets.fingerprint import fingerprint
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.sources import is_scenes, open_training, use_window
from unipan.datasets.statistics import ThingStatistics, thing_statistics
from unipan.folder_lock import folder_lock
from unipan.models.network import PanopticNetwork
from unipan.panoptic.categories import Categories
from unipan.presets import fit_detection, preset
from unipan.processes import peak_memory, resident_memory
from unipan.stopping import StopSignals
from unipan.training.failures import describe_failure, describe_stop, words_of_worker
from unipan.training.initial_weights import describe_missing_start, with_init
from unipan.training.options import RESUME_STATE, TrainOptions, is_first_process
from unipan.training.resuming import asked_of, resume

NEARLY_NONE = 0.01
"""Below this PQ of things, the last words of a training say why they are not found."""
LITTLE = 0.05
"""Where things cover less of the pixels, the first words say what may help."""

if TYPE_CHECKING:
    from unipan.training.launch import Fabric
    from unipan.training.other_processes import OtherProcesses
    from unipan.training.run_folder import RunRecord, ValidationFigures
    from unipan.training.trainer import Trainer


def train(options: TrainOptions) -> dict[str, Any] | None:
    """Run one training; returns what it has found for programs, in the first process alone.

    Raises:
        FileNotFoundError, ValueError, OSError: what is wrong with the options, the data, a loss or the run's folder,
            that memory is short, or that a process has ended; one sentence.
        StoppedBySignal: SIGINT or SIGTERM came, and the state is saved.
    """
    out = options.out or Path("runs")
    with StopSignals("the run stops after this iteration; a second signal ends it at once") as signals:
        # Checking --init is quick and reading the data is not, so mistakes in --init are reported first.
        asked = (options.config, options.init, options.explicit_backbone)
        begin = None if options.resume else with_init(*asked)
        data, val, note = open_training(options.data, options.val)
        require_both_kinds(data.categories, options.data)  # before anything is computed or written
        lock = folder_lock(out, "--out") if is_first_process() else nullcontext()
        with lock as left:
            notes = [note, left or "", "" if options.resume else describe_missing_start(*asked)]
            return _train(options, out, begin, (data, val), [each for each in notes if each], signals)


def _train(
    options: TrainOptions,
    out: Path,
    begin: tuple[Config, str | None] | None,
    images: tuple[PanopticData, PanopticData],
    notes: list[str],
    signals: StopSignals,
) -> dict[str, Any] | None:
    from unipan.training.launch import launch
    from unipan.training.other_processes import OtherProcesses
    from unipan.training.run_folder import RunRecord

    with OtherProcesses(out) as others:
        fabric = launch(options.accelerator, options.devices, options.num_nodes, others)
        origin: dict[str, Any] = {"data": options.data, "val": options.val, "processes": fabric.world_size}
        origin["seen"] = {"data": fingerprint(images[0]), "val": fingerprint(images[1])}
        record = RunRecord(out, quiet=not fabric.is_global_zero, origin=origin, asked=asked_of(options))
        say = record.say if fabric.is_global_zero else _print_nothing
        if fabric.is_global_zero:
            record.clear_leftovers()
        for note in notes:
            say(note)
        found = _run_to_the_end(fabric, options, begin, images, record, signals, others)
    if found is None:
        return None
    tell_result(*found, out, say)
    return result_of(*found, out) if fabric.is_global_zero else None


def _run_to_the_end(
    fabric: "Fabric",
    options: TrainOptions,
    begin: tuple[Config, str | None] | None,
    images: tuple[PanopticData, PanopticData],
    record: "RunRecord",
    signals: StopSignals,
    others: "OtherProcesses",
) -> tuple["Trainer", "ValidationFigures"] | None:
    """The trainer and its last validation; None in a process that a signal has stopped and that need not say so."""
    out, trainer = record.folder, None
    try:
        if begin is None:
            trainer = resume(fabric, options, *images, record)
        else:
            trainer = start(fabric, options, *begin, *images, record)
        trainer.signals, trainer.save_seconds = signals, 60 * options.save_minutes
        return trainer, trainer.run()
    except KeyboardInterrupt as stop:
        if not fabric.is_global_zero:
            return None  # the first process tells, and is ended if another one ends with an error
        done = None if trainer is None else trainer.saved
        total = 0 if trainer is None else trainer.config.train.iterations
        raise describe_stop(stop, out, done, total) from stop
    except torch.OutOfMemoryError as error:
        raise ValueError(out_of_memory(error, out)) from error
    except (RuntimeError, ValueError, OSError) as error:
        words = others.explain(error) or describe_failure(error, out, fabric.world_size > 1)
        if words is None and (own := words_of_worker(error)) != str(error):
            words = own
        if words is None:
            raise
        raise ValueError(words) from error


def tell_result(trainer: "Trainer", figures: "ValidationFigures", out: Path, say: Callable[[str], None]) -> None:
    """Say what a training that came to its end has left."""
    from unipan.training.run_folder import spell_pq

    if not figures:
        say(f"nothing left to do: {out} has all its {trainer.config.train.iterations} iterations")
        for told in trainer.write_missing():
            say(told)
        return
    say(
        f"done: {out / 'best.safetensors'} (PQ {100 * trainer.progress.best:.1f} in validation) and "
        f"{out / 'last.safetensors'} (PQ {spell_pq(figures['pq'])}); {effort(trainer)}"
    )
    if (figures["pq_things"] or 0.0) < NEARLY_NONE and trainer.fabric.is_global_zero:
        say(why_no_things(trainer, figures["pq_things"] or 0.0))


def result_of(trainer: "Trainer", figures: "ValidationFigures", out: Path) -> dict[str, Any]:
    """The same for programs."""
    progress = trainer.progress
    return {
        "run": str(out),
        "iterations": progress.iteration,
        "seconds": round(progress.seconds, 1),
        "peak_memory": peak_memory(),
        "best": {"checkpoint": str(out / "best.safetensors"), "pq": progress.best},
        "last": {"checkpoint": str(out / "last.safetensors"), **figures},
    }


def why_no_things(trainer: "Trainer", pq: float) -> str:
    """What keeps things out of P on the validation images, where their PQ is next to nothing."""
    from unipan.inference import Segmenter
    from unipan.training.diagnosis import explain_missing_things
    from unipan.training.schedule import enough_steps
    from unipan.training.validation import validation_images

    network, categories = trainer.evaluated.eval(), trainer.data.categories
    segmenter = Segmenter(network, trainer.config, categories, {}, trainer.fabric.device)
    images = validation_images(trainer.config, trainer.val)
    enough = enough_steps(bool((trainer.record.asked or {}).get("trained")))
    return explain_missing_things(segmenter, trainer.val, images, pq, enough)


def out_of_memory(error: torch.OutOfMemoryError, out: Path) -> str:
    """The error message for a GPU that has too little memory for the run in `out`."""
    from unipan.training.memory import describe_shortage

    text = (
        f"training: the GPU has too little memory ({describe_shortage(error)}); a larger "
        "--train.accumulation-steps takes the same batch in smaller passes, "
        "a smaller --data.crop or --data.short-side makes smaller images"
    )
    if not (out / RESUME_STATE).exists():
        return text
    # A resumed run keeps its config, so it can only be continued with more memory.
    return (
        f"{text}, both in a new --out; where more memory is free, the same command with --resume continues from "
        f"{out / 'resume'}"
    )


def effort(trainer: "Trainer") -> str:
    """Seconds per iteration, and the largest resident memory of this process (and GPU)."""
    progress = trainer.progress
    text = f"{progress.seconds / progress.iteration:.2f} s an iteration"
    if (peak := peak_memory()) is not None:
        text += f", peak memory {peak / 2**30:.1f} GiB"
    if trainer.fabric.device.type == "cuda":
        text += f", of the GPU {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    return text


def start(
    fabric: "Fabric",
    options: TrainOptions,
    config: Config,
    init: str | None,
    data: PanopticData,
    val: PanopticData,
    record: "RunRecord",
) -> "Trainer":
    """A trainer at iteration 0, from the result of `with_init`, with its schedule fitted to `--minutes`."""
    from unipan.analysis.ceiling import advise
    from unipan.training.schedule import describe_length, linear_rule
    from unipan.training.trainer import Trainer, check_batch

    schedule, sentence = linear_rule(config.train, options.explicit)
    config = replace(config, train=schedule)
    check_batch(config, fabric.world_size)
    say = record.say if fabric.is_global_zero else _print_nothing
    if sentence:
        say(sentence)
    if not is_scenes(options.data):
        use_window(data, config.data)
        seen = thing_statistics(data, config.data, stride=config.decoder.stride)
        say(str(seen))
        if advice := describe_cover(seen, config):
            say(advice)
        config = fit_to_data(config, seen)
        say(describe_detection(config.detection, seen))
        if fabric.is_global_zero:
            say(advise(data, config.data, stride=config.decoder.stride))
    torch.manual_seed(config.train.seed)
    network, words = build(config, data.categories, init)
    say(words)
    trainer = Trainer(fabric, config, data, val, record, network)
    say(memory(trainer))
    if options.minutes is not None:
        trainer.fit_to(options.minutes)
    else:
        trainer.announce()
    say(describe_length(trainer.config.train, len(data), trained=init is not None))
    record.asked = {**(record.asked or {}), "trained": init is not None}  # the last words of a resumed run need it
    return trainer


def memory(trainer: "Trainer") -> str:
    """The memory that a step needs, and what is available. Every process computes it: losses may synchronise them."""
    from unipan.training.memory import describe_memory, device_memory, estimate_memory, training_size
    from unipan.training.step import runs_bf16

    config, device, world = trainer.config, trainer.fabric.device, trainer.fabric.world_size
    # An image is opened only if images keep their own size.
    own = config.data.short_side == 0 and config.data.crop == (0, 0)
    height, width = trainer.data[0].image.shape[:2] if own else (0, 0)
    size = training_size(config.data, (height, width))
    bf16 = runs_bf16(config.train.precision, device)
    estimate = estimate_memory(trainer.network, trainer.criterion, config, size, bf16, world > 1)
    if device.type == "cpu":  # where the peak that `effort` tells is that of the whole process
        estimate = replace(estimate, process=resident_memory() or 0)
    return describe_memory(estimate, config.train, world, device_memory(device))


def build(config: Config, categories: Categories, init: str | None) -> tuple[PanopticNetwork, str]:
    """The network with its initial weights, and a sentence about their origin."""
    network = build_network(config, categories, pretrained=init is None)
    size = f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f} million parameters"
    if init is None:
        weights = config.backbone.weights
        return network, f"{size}, {'from scratch' if weights == 'none' else f'backbone from {weights}'}"
    return network, f"{size}, {describe_transfer(transfer(network, init, categories), network, categories, init)}"


def describe_transfer(taken: Transfer, network: PanopticNetwork, categories: Categories, init: str) -> str:
    """Which tensors, classes and decoders were taken from a checkpoint, and which are newly initialised."""
    total = len(network.state_dict())
    unused = ""
    if taken.unused:
        names = sorted({".".join(name.split(".")[:2]) for name in taken.unused})
        unused = f"; {len(taken.unused)} tensors there have no place in this network ({', '.join(names)})"
    if not taken.left and len(taken.semantic) == len(categories):
        return f"all from {init}{unused}"
    parts = ", ".join(sorted({".".join(name.split(".")[:3]) for name in taken.left}))
    text = f"from {init}: {total - len(taken.left)} of {total} tensors"
    if taken.left:
        text += f"; {len(taken.left)} are newly initialised, because their classes or options differ ({parts})"
    text += unused
    things = [category.name for category in categories.things]
    for what, names, kept in (
        ("V", [category.name for category in categories], taken.semantic),
        ("the detector", things, taken.detection),
    ):
        afresh = [name for name in names if name not in kept]
        text += f"\nclasses in {what}: kept {', '.join(kept) or 'none'}; new {', '.join(afresh) or 'none'}"
    if taken.of_kind:
        text += "\na new class starts as the mean of all things, or of all stuff, there"
    if taken.decoders:
        text += (
            f"\nthe layers of {' and '.join(taken.decoders)} differ there (or are missing), so everything on top "
            "of them is newly initialised; --decoder.layers as in that checkpoint keeps them"
        )
    return text


def fit_to_data(config: Config, seen: ThingStatistics) -> Config:
    """Fit anchors, RoI scale and limits to the things in the data; published recipes and given options are kept."""
    if config.train.reference_batch:
        return config
    default, given = preset(config.name).detection, config.detection
    fitted = fit_detection(given, seen.per_image[1], seen.side, seen.aspect)
    own = {f.name: getattr(given, f.name) for f in fields(given) if getattr(given, f.name) != getattr(default, f.name)}
    return replace(config, detection=replace(fitted, **own))


def describe_cover(seen: ThingStatistics, config: Config) -> str:
    """A warning, and options that have not been given, where things cover so little that V may miss them; else ""."""
    if not 0 < seen.cover < LITTLE:
        return ""
    options = ["--loss.semantic-kind both"] if config.loss.semantic_kind == "cross_entropy" else []
    options += [] if config.data.crop_around_things else ["--data.crop-around-things 0.5"]
    text = f"things cover {100 * seen.cover:.1f} % of the pixels, and so little is found late"
    return f"{text}; more steps help, or try {' and '.join(options)}" if options else f"{text}; more steps help"


def describe_detection(detection: DetectionConfig, seen: ThingStatistics) -> str:
    """The settings that were fitted to the data, and a warning if they would lose things."""
    text = (
        f"detection: anchors {_list(detection.anchor_sizes)} px, height:width {_list(detection.anchor_ratios)}, RoIs "
        f"of {detection.roi_canonical} px pooled from P4, proposals {_list(detection.rpn_post_nms)}, at most "
        f"{detection.max_detections} detections"
    )
    if detection.max_detections < seen.per_image[1]:
        text += f"\nwarning: images have up to {seen.per_image[2]} things; raise --detection.max-detections"
    return text


def _list(values: tuple[int | float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _print_nothing(_: str) -> None:
    """Only the first process prints."""
