"""The tables of an ablation as Markdown, rebuilt from the records of finished trainings: nothing here trains."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from unipan.evaluation.bootstrap import Interval
from unipan.evaluation.confusion import SIDES, thing_stuff_counts, thing_stuff_shares
from unipan.evaluation.hierarchical_bootstrap import SeededQuality, statistic_interval
from unipan.evaluation.pq_scores import GROUPS
from unipan.panoptic.categories import Categories
from unipan.reproduction.ablations import MODELS
from unipan.reproduction.paper_tables import (
    PAPER_G,
    PAPER_MILLISECONDS,
    TABLE_G,
    TABLE_I,
    TABLE_SPEED,
    Figures,
    Row,
    Table,
)
from unipan.reproduction.records import ExperimentRecord


@dataclass(frozen=True)
class Finished:
    """The trainings of one recipe on one dataset at one length.

    Attributes:
        records: by model and seed.
    """

    records: dict[tuple[str, int], ExperimentRecord]

    @classmethod
    def of(
        cls, records: Iterable[ExperimentRecord], data: str, hashes: Mapping[str, str], iterations: int
    ) -> "Finished":
        """Those that belong together: a training serves every model that has its config.

        Args:
            records: all there are.
            data: name of the dataset.
            hashes: of the config of each model.
            iterations: of the models of equal length.
        """
        chosen = {}
        for record in (each for each in records if each.data == data):
            for model in (key for key, value in hashes.items() if value == record.config_hash):
                if MODELS[model].as_long_as is None:
                    fits = record.iterations == iterations
                else:
                    fits = record.model == model and record.extra["beside"] == iterations
                if fits:
                    chosen[model, record.seed] = record
        return cls(chosen)

    def seeds(self, models: Iterable[str]) -> list[int]:
        """The seeds for which all these models are finished."""
        wanted = set(models)
        every = {seed for _, seed in self.records}
        return sorted(seed for seed in every if all((model, seed) in self.records for model in wanted))

    def quality(self, row: Row, seeds: list[int]) -> SeededQuality:
        """PQ of a row over some seeds."""
        found = [self.records[row.model, seed] for seed in seeds]
        if any(each.images != found[0].images for each in found):
            raise ValueError(f"records of {row.model}: they were scored on different images; remove the older ones")
        counts = np.stack([each.counts(row.reading, row.trimmed) for each in found])
        return SeededQuality.of(counts, found[0].classes)

    @property
    def categories(self) -> Categories:
        """Of the data."""
        return next(iter(self.records.values())).classes


def render(table: Table, finished: Finished) -> str:
    """The table, its orders and what they were measured on.

    Raises:
        ValueError: there is no record at all.
    """
    if not finished.records:
        raise ValueError("reproduce: there is no finished training to make a table of")
    parts = [f"## {table.title}", *_origin(table, finished)]
    if table is TABLE_G:
        parts.append(_confusion(finished))
    elif table is TABLE_I:
        parts.append(_stuff(table, finished))
    else:
        parts.append(_rows(table, finished))
    if table.orders:
        parts.append(_orders(table, finished))
    return "\n\n".join(parts) + "\n"


def into_page(page: str, tables: Mapping[str, str]) -> str:
    """Tables in their places on a page, <!-- NAME --> ... <!-- /NAME -->; for a page without any, the tables alone.

    Raises:
        ValueError: the page has places, but not for every table.
    """
    found = {name: re.findall(rf"<!-- {name} -->.*?<!-- /{name} -->", page, re.DOTALL) for name in tables}
    if not any(found.values()):
        return "\n".join(tables.values())
    for name, places in found.items():
        if len(places) != 1:
            raise ValueError(
                f"reproduce: --out has {len(places)} places <!-- {name} --> ... <!-- /{name} -->; it must have one"
            )
        page = page.replace(places[0], f"<!-- {name} -->\n{tables[name].strip()}\n<!-- /{name} -->")
    return page


def _origin(table: Table, finished: Finished) -> list[str]:
    records = [each for (model, _), each in finished.records.items() if model in table.models]
    if not records:
        return ["No training of this table is finished."]
    first = records[0]
    machines = sorted({str(each.facts["machine"]) for each in records})
    text = (
        f"{first.data}: {len(first.images)} test images, {first.extra['beside']} iterations a model, "
        f"seeds {', '.join(str(s) for s in sorted({each.seed for each in records}))}; {'; '.join(machines)}; commit "
        f"{', '.join(sorted({str(each.facts['commit']) for each in records}))}. A perfect P on this grid would have PQ "
        f"{100 * first.ceiling['all']:.1f}."
    )
    smoke = any(each.extra.get("smoke") for each in records)
    return [*(["**smoke: too short to compare**"] if smoke else []), text]


def _rows(table: Table, finished: Finished) -> str:
    head = [
        "row",
        "",
        "PQ",
        "things",
        "stuff",
        "SQ",
        "RQ",
        "mIoU of V",
        "AP masks",
        "AP boxes",
        "ceiling",
        "seeds",
        "paper: PQ (things, stuff); SQ, RQ, IoU, AP of masks, of boxes",
    ]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in table.rows:
        seeds = finished.seeds([row.model])
        if not seeds:
            lines.append(_line([_label(row), row.text, *["–"] * 9, "0", _paper(row)]))
            continue
        quality = finished.quality(row, seeds)
        records = [finished.records[row.model, seed] for seed in seeds]
        cells = [_spread(quality, group) for group in GROUPS]
        cells += [_spread(quality, "All", metric) for metric in ("sq", "rq")]
        cells += [_mean_and_spread([each.semantic["mean"] for each in records])]
        cells += [_mean_and_spread([(each.ap or {}).get(kind) for each in records]) for kind in ("mask", "box")]
        cells += [_percent(records[0].ceiling["all"]), str(len(seeds))]
        lines.append(_line([_label(row), row.text, *cells, _paper(row)]))
    note = (
        "Mean over the seeds ± their standard deviation, small stuff removed from every map first as in the paper "
        "(App. C; Table I has both). *Rows in italics are ours; the paper has none.*"
    )
    return "\n".join(lines) + f"\n\n{note}"


def _orders(table: Table, finished: Finished) -> str:
    rows = {row.label: row for row in table.rows}
    head = ["claim", "difference of PQ", "things", "stuff", "paper's difference", "verdict", "seeds"]
    lines = [_line(head), _line(["---"] * len(head))]
    for order in table.orders:
        better, worse = rows[order.better], rows[order.worse]
        seeds = finished.seeds([better.model, worse.model])
        claim = f"{order.better} over {order.worse}: {order.says}"
        if not seeds:
            lines.append(_line([claim, "–", "–", "–", _signed(order.paper), "not run", "0"]))
            continue
        a, b = finished.quality(better, seeds), finished.quality(worse, seeds)
        found = [a.minus(b, group) for group in GROUPS]
        judged = found[2] if table is TABLE_I else found[0]
        cells = [*(_difference(each) for each in found), _signed(order.paper), _verdict(judged), str(len(seeds))]
        lines.append(_line([claim, *cells]))
    note = (
        "Differences: mean over the seeds, 95 % hierarchical bootstrap over seeds and images (one seed: over images "
        "alone), paired. *holds*: the interval lies above zero; *tie*: it contains zero; *reversed*: it lies below."
    )
    return "\n".join(lines) + f"\n\n{note}"


def _confusion(finished: Finished) -> str:
    model = TABLE_G.rows[0].model
    found = [
        thing_stuff_shares(np.array(finished.records[model, seed].semantic["confusion"]), finished.categories)
        for seed in finished.seeds([model])
    ]
    head = ["truth", "as things, %", "as stuff, %", "seeds", "paper: as things", "as stuff"]
    lines = [_line(head), _line(["---"] * len(head))]
    for side in SIDES if found else ():
        shares = [[value for each in found if (value := each[side][other]) is not None] for other in SIDES]
        cells = [_mean_and_spread(each) for each in shares]
        lines.append(_line([side, *cells, str(len(found)), *(f"{value:.1f}" for value in PAPER_G[side])]))
    note = "Pixels of V over all test images: mean over the seeds ± their standard deviation."
    return "\n".join(lines) + (f"\n\n{note}\n\n{_more_things_lost(finished)}" if found else "")


def _more_things_lost(finished: Finished) -> str:
    """Whether V takes things for stuff more often than stuff for things, as in the paper."""
    model = TABLE_G.rows[0].model
    records = [finished.records[model, seed] for seed in finished.seeds([model])]
    by_image = all("sides" in each.semantic for each in records)
    sides = [
        each.semantic["sides"]
        if by_image
        else [thing_stuff_counts(np.array(each.semantic["confusion"]), finished.categories).reshape(-1)]
        for each in records
    ]
    found = statistic_interval(np.array(sides, np.float64), _lost)
    printed = PAPER_G["things"][1] - PAPER_G["stuff"][0]
    cells = ["things lost to stuff over stuff lost to things", _difference(found), f"{printed:+.1f}", _verdict(found)]
    head = ["claim", "difference of the shares, %", "paper's difference", "verdict", "seeds"]
    lines = [_line(head), _line(["---"] * len(head)), _line([*cells, str(len(records))])]
    note = "95 % bootstrap over seeds" + (" and images." if by_image else "; these records have no counts by image.")
    return "\n".join(lines) + f"\n\n{note}"


def _lost(sides: Float64[np.ndarray, "... 4"]) -> Float64[np.ndarray, "..."]:
    """Share of things taken for stuff less share of stuff taken for things, from counts by side."""
    with np.errstate(invalid="ignore", divide="ignore"):
        things, stuff = sides[..., 1] / sides[..., :2].sum(-1), sides[..., 2] / sides[..., 2:].sum(-1)
    return np.asarray(things - stuff)


def _stuff(table: Table, finished: Finished) -> str:
    head = ["row", "PQ of stuff", "SQ", "RQ", "IoU of stuff", "seeds", "paper: PQ of stuff; SQ, RQ, IoU"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in table.rows:
        seeds = finished.seeds([row.model])
        rest = ", ".join(_printed(value) for value in (row.rest or ())[:3])
        paper = f"{_printed(row.paper[2] if row.paper else None)}; {rest}"
        if not seeds:
            lines.append(_line([row.label, *["–"] * 4, "0", paper]))
            continue
        quality = finished.quality(row, seeds)
        key = "iou_trimmed" if row.trimmed else "iou"
        iou = _mean_and_spread(
            [finished.records[row.model, seed].readings[row.reading][key]["stuff"] for seed in seeds]
        )
        cells = [_spread(quality, "Stuff", metric) for metric in ("pq", "sq", "rq")]
        lines.append(_line([row.label, *cells, iou, str(len(seeds)), paper]))
    return "\n".join(lines)


def render_speed(measured: dict[str, Any]) -> str:
    """The speed table from what `time_in_turn` measured (measurements of older versions have no interval or smoke)."""
    rows = {row.label: row for row in TABLE_SPEED.rows}
    head = [
        "network",
        "",
        "network, ms",
        "fusion, ms",
        "together",
        "beside ours",
        "paper, ms",
        "beside ours",
        "ours faster",
    ]
    lines = [_line(head), _line(["---"] * len(head))]
    own = PAPER_MILLISECONDS[TABLE_SPEED.rows[0].label]
    for label, found in measured["milliseconds"].items():
        whole = found["network"] + found["fusion"]
        cells = [f"{value:.1f}" for value in (found["network"], found["fusion"], whole)]
        interval = Interval(found["ratio"], found["low"], found["high"]) if "low" in found else None
        cells.append(f"{found['ratio']:.2f} x" + (f" ({interval.low:.2f}, {interval.high:.2f})" if interval else ""))
        printed = PAPER_MILLISECONDS.get(label)
        cells += [f"{printed}", f"{printed / own:.2f} x"] if printed else ["–", "–"]
        judged = interval is not None and label != TABLE_SPEED.rows[0].label
        slower = Interval(interval.value - 1, interval.low - 1, interval.high - 1) if interval and judged else None
        cells.append(_verdict(slower))
        lines.append(_line([label, rows[label].text, *cells]))
    facts = measured["facts"]
    note = (
        f"Median an image, the networks in turn on the same images; {facts['threads']} threads of {facts['machine']}, "
        f"{facts['device']}, 32 bit, trained for {facts['iterations']} iterations."
    )
    if any("low" in found for found in measured["milliseconds"].values()):
        note += " Intervals: 95 % bootstrap over images."
    smoke = ["**smoke: too short to compare**"] if facts.get("smoke") else []
    return "\n\n".join([f"## {TABLE_SPEED.title}", *smoke, "\n".join(lines), note]) + "\n"


def _label(row: Row) -> str:
    return f"*{row.label}*" if row.ours else f"**{row.label}**"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread(quality: SeededQuality, group: str, metric: str = "pq") -> str:
    spread = quality.spread(group, metric)
    return _percent(quality.mean(group, metric)) + (f" ± {100 * spread:.1f}" if spread is not None else "")


def _mean_and_spread(values: Iterable[float | None]) -> str:
    present = [value for value in values if value is not None]
    return _percent(_mean(present)) + (f" ± {100 * np.std(present, ddof=1):.1f}" if len(present) > 1 else "")


def _percent(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{100 * value:.1f}"


def _mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


def _paper(row: Row) -> str:
    if row.paper is None:
        return "–"
    whole, *parts = (_printed(value) for value in row.paper)
    text = f"{whole} ({', '.join(parts)})" if any(part != "–" for part in parts) else whole
    return text if row.rest is None else f"{text}; {', '.join(_printed(value) for value in row.rest)}"


def _printed(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _signed(figures: Figures | None) -> str:
    if figures is None:
        return "–"
    return " / ".join("–" if value is None else f"{value:+.1f}" for value in figures)


def _difference(found: Interval | None) -> str:
    if found is None:
        return "–"
    text = f"{100 * found.value:+.1f} ({100 * found.low:.1f}, {100 * found.high:.1f})"
    return f"**{text}**" if found.excludes_zero else text


def _verdict(found: Interval | None) -> str:
    if found is None:
        return "–"
    if not found.excludes_zero:
        return "tie"
    return "holds" if found.low > 0 else "reversed"


def models_of(table: Table) -> str:
    """What the networks of a table are, in one line each."""
    return "\n".join(f"  {key:<16}{MODELS[key].text}" for key in table.models)
