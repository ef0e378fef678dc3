"""The tables of an ablation as Markdown, rebuilt from the records of finished trainings."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from unipan.analysis.separation import RANKINGS
from unipan.evaluation.bootstrap import Interval
from unipan.evaluation.confusion import SIDES, thing_stuff_counts, thing_stuff_shares
from unipan.evaluation.hierarchical_bootstrap import SeededQuality, statistic_interval
from unipan.evaluation.pq_scores import GROUPS
from unipan.files import read_text
from unipan.panoptic.categories import Categories
from unipan.reproduction.ablations import MODELS
from unipan.reproduction.paper_tables import (
    PAPER_G,
    PAPER_MILLISECONDS,
    TABLE_G,
    TABLE_I,
    TABLE_SPEED,
    PaperTable,
    TableRow,
)
from unipan.reproduction.records import ExperimentRecord

NOTHING = "–"
SMOKE = "**smoke: too short to compare**"


@dataclass(frozen=True)
class FinishedTrainings:
    """The finished trainings of one recipe on one dataset at one length.

    Attributes:
        records: by model and seed.
    """

    records: dict[tuple[str, int], ExperimentRecord]

    @classmethod
    def of(
        cls, records: Iterable[ExperimentRecord], data: str, hashes: Mapping[str, str], iterations: int
    ) -> "FinishedTrainings":
        """Choose the records that belong together; a training serves every model that has its config.

        Args:
            records: all records.
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

    def seeds(self, *models: str) -> list[int]:
        """The seeds for which all these models are finished."""
        every = {seed for _, seed in self.records}
        return sorted(seed for seed in every if all((model, seed) in self.records for model in models))

    def of_model(self, model: str) -> list[ExperimentRecord]:
        """The records of a model, by seed."""
        return [self.records[model, seed] for seed in self.seeds(model)]

    def quality(self, row: TableRow, seeds: Iterable[int]) -> SeededQuality:
        """PQ of a row over some seeds.

        Raises:
            ValueError: the trainings were scored on different images.
        """
        found = [self.records[row.model, seed] for seed in seeds]
        if any(each.images != found[0].images for each in found):
            raise ValueError(f"records of {row.model}: they were scored on different images; remove the older ones")
        counts = np.stack([each.counts(row.fusion, row.trimmed) for each in found])
        return SeededQuality.of(counts, found[0].classes)

    @property
    def categories(self) -> Categories:
        """Of the data."""
        return next(iter(self.records.values())).classes


def render_table(table: PaperTable, finished: FinishedTrainings) -> str:
    """The table, its comparisons, and a line on how they were measured.

    Raises:
        ValueError: there is no record at all.
    """
    if not finished.records:
        raise ValueError("reproduce: there is no finished training to make a table of")
    parts = [f"## {table.title}", *_origin(table, finished)]
    if table is TABLE_G:
        parts += _confusion_lines(finished)
    elif table is TABLE_I:
        parts.append(_stuff_rows(table, finished))
    else:
        parts += _rows(table, finished)
    if table.comparisons:
        parts += _comparisons(table, finished)
    return "\n\n".join(parts) + "\n"


def has_places(out: Path) -> bool:
    """Whether a file has placeholders of any table; what else is in it stays."""
    try:
        return re.search(r"<!-- (\w+) -->.*?<!-- /\1 -->", read_text(out), re.DOTALL) is not None
    except (OSError, ValueError):
        return False


def page_with(out: Path, tables: Mapping[str, str]) -> str:
    """The content of a page: the tables, inserted at the placeholders if the file has any.

    Raises:
        ValueError: the file is not text, or does not have a placeholder for every table.
    """
    try:
        page = out.read_text(encoding="utf-8") if out.is_file() else ""
    except UnicodeDecodeError as error:
        raise ValueError(f"--out {out}: this file is not text; give the name of a Markdown page") from error
    return into_page(page, tables)


def into_page(page: str, tables: Mapping[str, str]) -> str:
    """Put tables between <!-- NAME --> and <!-- /NAME -->; a page without such placeholders is replaced by the tables.

    Raises:
        ValueError: the page has placeholders, but not for every table.
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


def _origin(table: PaperTable, finished: FinishedTrainings) -> list[str]:
    records = [each for (model, _), each in finished.records.items() if model in table.models]
    if not records:
        return ["No training of this table is finished."]
    first = records[0]
    text = (
        f"{first.data}: {len(first.images)} test images, {first.extra['beside']} iterations a model, "
        f"seeds {', '.join(str(s) for s in sorted({each.seed for each in records}))}; "
        f"{'; '.join(sorted({str(each.facts['machine']) for each in records}))}; commit "
        f"{', '.join(sorted({str(each.facts['commit']) for each in records}))}. A perfect P on this grid would have PQ "
        f"{100 * first.ceiling['all']:.1f}."
    )
    return [*[SMOKE] * any(each.extra.get("smoke") for each in records), text]


def _rows(table: PaperTable, finished: FinishedTrainings) -> list[str]:
    head = ["row", "", "PQ", "things", "stuff", "SQ", "RQ", "mIoU of V", "AP masks", "AP boxes", "ceiling", "seeds"]
    head.append("paper: PQ (things, stuff); SQ, RQ, IoU, AP of masks, of boxes")
    told_apart = any(_told_apart(finished.of_model(row.model)) for row in table.rows)
    if told_apart:
        head.append("AUC within the class: affinity, V, nearness")
    lines = []
    for row in table.rows:
        seeds, records = finished.seeds(row.model), finished.of_model(row.model)
        label = f"*{row.label}*" if row.paper is None else f"**{row.label}**"
        cells = [NOTHING] * 9
        if seeds:
            quality = finished.quality(row, seeds)
            cells = [_spread(quality, group) for group in GROUPS]
            cells += [_spread(quality, "All", metric) for metric in ("sq", "rq")]
            cells += [_mean_and_spread([each.semantic["mean"] for each in records])]
            cells += [_mean_and_spread([(each.ap or {}).get(kind) for each in records]) for kind in ("mask", "box")]
            cells += [_percent_or_dash(records[0].ceiling["all"])]
        last = [_told_apart(records) or NOTHING] if told_apart else []
        lines.append([label, row.text, *cells, str(len(seeds)), _paper(row), *last])
    note = (
        "Mean over the seeds ± standard deviation; small stuff is removed from every map first, as in the paper "
        "(App. C; Table I has both). *Rows in italics are ours and not in the paper.*"
    )
    if told_apart:
        note += (
            " AUC: how often a cell of a thing ranks above a cell of another thing of its class, from a cell of that "
            "thing; chance is 0.50. Records of before have none."
        )
    return [_markdown(head, lines), note]


def _told_apart(records: Sequence[ExperimentRecord]) -> str:
    """The mean AUC of each ranking over the seeds that have it; empty without any."""
    found = [each.separation["class"] for each in records if each.separation]
    means = [sum(each[name] for each in found) / len(found) for name in RANKINGS if found]
    return ", ".join(f"{mean:.2f}" for mean in means)


def _stuff_rows(table: PaperTable, finished: FinishedTrainings) -> str:
    head = ["row", "PQ of stuff", "SQ", "RQ", "IoU of stuff", "seeds", "paper: PQ of stuff; SQ, RQ, IoU"]
    lines = []
    for row in table.rows:
        seeds, records = finished.seeds(row.model), finished.of_model(row.model)
        paper, cells = row.paper or (None,) * 8, [NOTHING] * 4
        if seeds:
            quality, key = finished.quality(row, seeds), "iou_trimmed" if row.trimmed else "iou"
            cells = [_spread(quality, "Stuff", metric) for metric in ("pq", "sq", "rq")]
            cells.append(_mean_and_spread([each.fusions[row.fusion][key]["stuff"] for each in records]))
        printed = f"{_printed(paper[2])}; {', '.join(map(_printed, paper[3:6]))}"
        lines.append([row.label, *cells, str(len(seeds)), printed])
    return _markdown(head, lines)


def _comparisons(table: PaperTable, finished: FinishedTrainings) -> list[str]:
    rows = {row.label: row for row in table.rows}
    lines = []
    for each in table.comparisons:
        better, worse = rows[each.better], rows[each.worse]
        seeds = finished.seeds(better.model, worse.model)
        cells, verdict = [NOTHING] * 3, "not run"
        if seeds:
            one, other = finished.quality(better, seeds), finished.quality(worse, seeds)
            found = [one.minus(other, group) for group in GROUPS]
            cells = [_with_interval(group) for group in found]
            verdict = _verdict(found[2] if table is TABLE_I else found[0])
        claim = f"{each.better} over {each.worse}: {each.claim}"
        printed = " / ".join(NOTHING if value is None else f"{value:+.1f}" for value in each.paper or ()) or NOTHING
        lines.append([claim, *cells, printed, verdict, str(len(seeds))])
    head = ["claim", "difference of PQ", "things", "stuff", "paper's difference", "verdict", "seeds"]
    note = (
        "Differences: mean over the seeds, 95 % hierarchical bootstrap over seeds and images (one seed: over images "
        "alone), paired. *holds*: the interval lies above zero; *tie*: it contains zero; *reversed*: it lies below."
    )
    return [_markdown(head, lines), note]


def _confusion_lines(finished: FinishedTrainings) -> list[str]:
    records = finished.of_model(TABLE_G.rows[0].model)
    found = [thing_stuff_shares(np.array(each.semantic["confusion"]), finished.categories) for each in records]
    lines = []
    for side in SIDES if found else ():
        shares = [[value for each in found if (value := each[side][other]) is not None] for other in SIDES]
        printed = [f"{value:.1f}" for value in PAPER_G[side]]
        lines.append([side, *map(_mean_and_spread, shares), str(len(found)), *printed])
    head = ["truth", "as things, %", "as stuff, %", "seeds", "paper: as things", "as stuff"]
    note = "Pixels of V over all test images: mean over the seeds ± standard deviation."
    more = [note, *_more_things_lost(records, finished.categories)] if found else []
    return [_markdown(head, lines), *more]


def _more_things_lost(records: Sequence[ExperimentRecord], categories: Categories) -> list[str]:
    """Whether V takes things for stuff more often than stuff for things, as in the paper."""
    by_image = all("sides" in each.semantic for each in records)
    sides = [
        each.semantic["sides"]
        if by_image
        else [thing_stuff_counts(np.array(each.semantic["confusion"]), categories).reshape(-1)]
        for each in records
    ]
    found = statistic_interval(np.array(sides, np.float64), _lost)
    printed = f"{PAPER_G['things'][1] - PAPER_G['stuff'][0]:+.1f}"
    cells = ["things lost to stuff over stuff lost to things", _with_interval(found), printed, _verdict(found)]
    head = ["claim", "difference of the shares, %", "paper's difference", "verdict", "seeds"]
    note = "95 % bootstrap over seeds" + (" and images." if by_image else "; these records have no counts by image.")
    return [_markdown(head, [[*cells, str(len(records))]]), note]


def _lost(sides: Float64[np.ndarray, "... 4"]) -> Float64[np.ndarray, "..."]:
    """Share of things taken for stuff minus share of stuff taken for things, from counts by side."""
    with np.errstate(invalid="ignore", divide="ignore"):
        things, stuff = sides[..., 1] / sides[..., :2].sum(-1), sides[..., 2] / sides[..., 2:].sum(-1)
    return np.asarray(things - stuff)


def render_speed(measured: dict[str, Any]) -> str:
    """The speed table from what `time_in_turn` measured (measurements of older versions have no interval or smoke)."""
    rows = {row.label: row for row in TABLE_SPEED.rows}
    first = TABLE_SPEED.rows[0].label
    lines = []
    for label, found in measured["milliseconds"].items():
        cells = [f"{value:.1f}" for value in (found["network"], found["fusion"], found["network"] + found["fusion"])]
        interval = f" ({found['low']:.2f}, {found['high']:.2f})" if "low" in found else ""
        printed = PAPER_MILLISECONDS.get(label)
        paper = [f"{printed}", f"{printed / PAPER_MILLISECONDS[first]:.2f} x"] if printed else [NOTHING, NOTHING]
        judged = interval and label != first
        slower = Interval(*(found[key] - 1 for key in ("ratio", "low", "high"))) if judged else None
        lines.append([label, rows[label].text, *cells, f"{found['ratio']:.2f} x{interval}", *paper, _verdict(slower)])
    head = ["network", "", "network, ms", "fusion, ms", "together", "relative to ours"]
    head += ["paper, ms", "relative to ours", "ours faster"]
    facts = measured["facts"]
    note = (
        f"Median per image, the networks in turn on the same images; {facts['threads']} threads of {facts['machine']}, "
        f"{facts['device']}, 32 bit, trained for {facts['iterations']} iterations."
    )
    if any("low" in found for found in measured["milliseconds"].values()):
        note += " Intervals: 95 % bootstrap over images."
    smoke = [SMOKE] * bool(facts.get("smoke"))
    return "\n\n".join([f"## {TABLE_SPEED.title}", *smoke, _markdown(head, lines), note]) + "\n"


def with_minus_signs(text: str) -> str:
    """A minus sign for the hyphen before every number, as the pages have it; names such as ResNet-50 stay."""
    return re.sub(r"(?<![\w)\]])-(?=\d)", "−", text)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return with_minus_signs("\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)))


def _spread(quality: SeededQuality, group: str, metric: str = "pq") -> str:
    spread = quality.spread(group, metric)
    return _percent_or_dash(quality.mean(group, metric)) + (f" ± {100 * spread:.1f}" if spread is not None else "")


def _mean_and_spread(values: Iterable[float | None]) -> str:
    present = [value for value in values if value is not None]
    mean = sum(present) / len(present) if present else None
    return _percent_or_dash(mean) + (f" ± {100 * np.std(present, ddof=1):.1f}" if len(present) > 1 else "")


def _percent_or_dash(value: float | None) -> str:
    return NOTHING if value is None or np.isnan(value) else f"{100 * value:.1f}"


def _paper(row: TableRow) -> str:
    if row.paper is None:
        return NOTHING
    whole, things, stuff, *rest = map(_printed, row.paper)
    return whole + (f" ({things}, {stuff})" if {things, stuff} != {NOTHING} else "") + f"; {', '.join(rest)}"


def _printed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}"


def _with_interval(found: Interval | None) -> str:
    if found is None:
        return NOTHING
    text = f"{100 * found.value:+.1f} ({100 * found.low:.1f}, {100 * found.high:.1f})"
    return f"**{text}**" if found.excludes_zero else text


def _verdict(found: Interval | None) -> str:
    if found is None:
        return NOTHING
    if not found.excludes_zero:
        return "tie"
    return "holds" if found.low > 0 else "reversed"
