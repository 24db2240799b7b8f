"""The board as a table: tasks as columns, architectures as rows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any, Literal

from rnnbench.config.cards import Budget, Chance, Direction, Scoring, TaskCard
from rnnbench.config.grid import GridSpec, RunSpec, Track
from rnnbench.config.registry import catalogue
from rnnbench.leaderboard.configuration import Configuration, settings_of
from rnnbench.leaderboard.intervals import bounded_interval, mean_text
from rnnbench.leaderboard.statistics import same_as_best
from rnnbench.records.record import Record
from rnnbench.records.selection import study_of
from rnnbench.records.status import STATES, Cell
from rnnbench.records.trials import Study, studies, up_to_date
from rnnbench.utils.text import amount

Standing = Literal["best", "tied"]
"""`best`: significantly better than all others; `tied`: the best or not significantly worse (see `same_as_best`)."""

UNCERTIFIED = "°"
"""Beside a score of runs that were made by other code, and are not certified for this version of it."""
SORTED_LAST = 1e300
"""What is sorted behind every number; no infinity, as a page whose column holds one sorts all of it as words."""
UNCERTIFIED_MEANS = "made by another version of the code, and nobody has checked yet that this version gives the same"


@dataclass(frozen=True)
class Column:
    """Scores that can be compared: one task, one batch size on as many devices, one budget."""

    task: str
    version: int
    fingerprint: str
    metric: str
    direction: Direction
    budget: Budget
    batch_size: Any
    data_seed: int | None = None
    devices: int = 1

    @classmethod
    def of(cls, spec: RunSpec) -> "Column":
        """The column of a run."""
        task = spec.task
        known = (task.name, task.version, task.fingerprint, task.metric, task.direction, spec.budget)
        return cls(*known, task.data.init_args.get("batch_size"), spec.data_seed, spec.devices)

    @property
    def order(self) -> tuple[str, ...]:
        """Where it stands: by task, then by whatever else differs, the same every time."""
        rest = (str(self.batch_size), str(self.data_seed), str(self.devices), self.fingerprint)
        return (self.task, str(self.version), self.budget.model_dump_json(), *rest)

    @property
    def details(self) -> list[str]:
        """What a heading leaves out as long as it is the same for all."""
        every = f", validated every {self.budget.validate_every}" if self.budget.validate_every else ""
        seed = "" if self.data_seed is None else f", data seed {self.data_seed}"
        on = "" if self.devices == 1 else f" on each of {self.devices} devices"
        return [
            f"batch {self.batch_size or 'default'}{on}{every}{seed}",
            f"version {self.version} ({self.fingerprint[:6]})",
        ]

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↓" if self.direction == "minimise" else "↑"


@dataclass(frozen=True, order=True)
class Baseline:
    """The simple reference as a run computed it; of several the latest counts."""

    started: str
    id: str
    value: float
    of: str

    @classmethod
    def of_record(cls, record: Record) -> "Baseline | None":
        """That of a record, if it has the score by the card's metric."""
        value = record.baseline_scores.get(record.spec.task.metric)
        return None if value is None else cls(record.started, record.id, value, record.baseline)


@dataclass(frozen=True)
class Entry:
    """All runs of one configuration in one column."""

    cells: tuple[Cell, ...] = ()
    standing: Standing | None = None

    @cached_property
    def done(self) -> list[Record]:
        """Records that count."""
        return [cell.record for cell in self.cells if cell.state == "done" and cell.record]

    @cached_property
    def scores(self) -> list[float]:
        """The scores of the records that count."""
        return [record.score for record in self.done if record.score is not None]

    @property
    def scores_by_seed(self) -> dict[int, float]:
        """The score of each seed, the mean where there are several."""
        by_seed: dict[int, list[float]] = defaultdict(list)
        for record in self.done:
            if record.score is not None:
                by_seed[record.spec.seed].append(record.score)
        return {seed: fmean(scores) for seed, scores in by_seed.items()}

    @cached_property
    def states(self) -> Counter[str]:
        """How many runs are in which state."""
        return Counter(cell.state for cell in self.cells)

    @property
    def others(self) -> Counter[str]:
        """How many runs are in which state other than done."""
        return Counter({state: count for state, count in self.states.items() if state != "done"})

    @property
    def uncertified(self) -> int:
        """How many of the runs that are done are not certified for this version of the code."""
        return sum(cell.state == "done" and not cell.certified for cell in self.cells)

    @property
    def baseline(self) -> Baseline | None:
        """The simple reference, by the latest of the records that count."""
        return max(filter(None, map(Baseline.of_record, self.done)), default=None)

    @property
    def parameters(self) -> list[int]:
        """Trainable numbers of each record that counts."""
        return [record.parameters or 0 for record in self.done]

    @property
    def counted_parameters(self) -> list[int]:
        """The same, but of runs whose width was chosen for a number of parameters the number that was matched."""
        return [
            record.size.count
            if record.size and record.spec.size and record.spec.size.quantity == "parameters"
            else record.parameters or 0
            for record in self.done
        ]

    @property
    def train_seconds(self) -> list[float]:
        """Training time of each record that counts."""
        return [seconds for record in self.done if (seconds := record.training_seconds) is not None]

    def text(self, seeds: int | None = None) -> str:
        """Mean, interval and n, and the states of whatever is not done.

        Args:
            seeds: the n that is said elsewhere; it is left out here.
        """
        parts = []
        if self.scores:
            n = "" if len(self.scores) == seeds else f" (n={len(self.scores)})"
            mark = f" {UNCERTIFIED}" if self.uncertified else ""
            parts.append(f"{mean_text(self.scores, self.done[0].spec.task.metric)}{n}{mark}")
        alone = len(self.others) == 1 and not self.scores
        parts += [state if alone else f"{self.others[state]} {state}" for state in STATES if self.others[state]]
        return ", ".join(parts)


@dataclass(frozen=True)
class Row:
    """One configuration.

    Args:
        configuration: which.
        settings: what tells it from the card of its architecture, see `settings_of`; empty if nothing does.
        entries: by column.
        studies: trials by which it was selected, of each task.
        usual_tuning: how all rows of its table are tuned, as `Configuration.tuning`; empty if nothing says so.
    """

    configuration: Configuration
    settings: str
    entries: dict[Column, Entry]
    studies: tuple[Study, ...] = ()
    usual_tuning: str = ""

    @property
    def name(self) -> str:
        """The name of the architecture's card, and how it is tuned if not all are like that; several rows may have
        it."""
        one = self.configuration
        return one.name if one.tuning == self.usual_tuning else one.shown

    @cached_property
    def label(self) -> str:
        """Its name, with its settings if it has any: no other row of a table has it."""
        return f"{self.name} ({self.settings})" if self.settings else self.name

    def spread(self, values: Iterable[float]) -> str:
        """Smallest to largest, for people."""
        shown = sorted(values)
        if not shown:
            return ""
        low, high = amount(shown[0]), amount(shown[-1])
        return low if low == high else f"{low}–{high}"

    @property
    def parameters(self) -> str:
        """Trainable numbers; they differ from task to task by input and head. Of networks of equal size those that the
        rule for the size counts, which are without embeddings unless it says otherwise."""
        return self.spread(count for entry in self.entries.values() for count in entry.counted_parameters)

    @property
    def least_parameters(self) -> float:
        """What the column of parameters is sorted by."""
        return min(
            (count for entry in self.entries.values() for count in entry.counted_parameters), default=SORTED_LAST
        )

    @property
    def seconds(self) -> str:
        """Mean training seconds of a run, by task."""
        return self.spread(fmean(entry.train_seconds) for entry in self.entries.values() if entry.train_seconds)

    @property
    def trials(self) -> str:
        """Configurations that were tried to find these, on each task."""
        return self.spread(study.trials for study in self.studies)

    @property
    def tuning_seconds(self) -> str:
        """What that took, by task."""
        return self.spread(study.seconds for study in self.studies)


@dataclass(frozen=True)
class Table:
    """The board.

    Args:
        headings: lines above each column.
        cards: of the columns whose task has a card here that is still what their scores were made with.
        scoring: how scores are read, of the columns of which card or records say it.
        chance: the reference of each column, where it is known.
        reasons: where runs are not done, and why.
        trials: configurations that were tried; they have no row.
        name: of its track, or `OTHER_RUNS`; empty of the table of a grid, and of the only one of a board.
        title: of its track.
        summary: of its track: the rules under which its rows are compared.
        version: of its track.
    """

    columns: list[Column]
    rows: list[Row]
    headings: dict[Column, list[str]]
    cards: dict[Column, TaskCard]
    scoring: dict[Column, Scoring]
    chance: dict[Column, Chance]
    reasons: list[tuple[str, str]]
    trials: int = 0
    name: str = ""
    title: str = ""
    summary: str = ""
    version: int | None = None

    @property
    def has_settings(self) -> bool:
        """Whether a row has settings that are not on its card."""
        return any(row.settings for row in self.rows)

    @property
    def parameters_title(self) -> str:
        """Heading of the column of parameters: which of them are counted, where all rows have one rule for that."""
        sizes = {entry.cells[0].spec.size for row in self.rows for entry in row.entries.values() if entry.cells}
        counted = {size.count if size else None for size in sizes}
        only = counted.pop() if len(counted) == 1 else None
        return f"{only} parameters" if only and only != "all" else "parameters"

    @property
    def no_rows(self) -> str:
        """What to say of a board without rows."""
        if not self.trials:
            return "No records yet."
        return f"{self.trials} trials, and nothing tested yet: a board has test scores, trials have none."

    @property
    def uncertified(self) -> int:
        """How many runs that are done are not certified for this version of the code."""
        return sum(entry.uncertified for row in self.rows for entry in row.entries.values())

    @property
    def uncertified_note(self) -> str:
        """What that means, if there are any."""
        count = self.uncertified
        runs = f"{count} run{' of this board was' if count == 1 else 's of this board were'}"
        return f"{UNCERTIFIED}: {runs} {UNCERTIFIED_MEANS} (rnnbench certify does)" if count else ""

    @cached_property
    def seeds(self) -> int | None:
        """The n that most entries have: said once, so that only others name theirs. None without scores."""
        counts = Counter(len(entry.scores) for row in self.rows for entry in row.entries.values() if entry.scores)
        return max(counts, key=lambda n: (counts[n], n), default=None)

    @property
    def n_note(self) -> str:
        """Over how many seeds the entries are that do not name a number; empty without scores."""
        if self.seeds is None:
            return ""
        some = "n" if all(len(e.scores) in (0, self.seeds) for r in self.rows for e in r.entries.values()) else "else n"
        return f"{some} = {self.seeds} seed{'s' * (self.seeds != 1)}"

    def panel(self, column: Column) -> "ScorePanel":
        """The scores of a column for a chart."""
        scores = {row.label: row.entries[column].scores for row in self.rows if column in row.entries}
        chance = self.chance.get(column)
        return ScorePanel(
            ", ".join(self.headings[column]),
            {label: some for label, some in scores.items() if some},
            {label: bounded_interval(some, column.metric) for label, some in scores.items() if some},
            None if chance is None else chance.value,
        )

    def text(self, row: Row, column: Column, seeds: int | None = None) -> str:
        """An entry; `=` where it is the same as the best, `≈ chance` where it is not better than chance.

        Args:
            row: of the entry.
            column: of the entry.
            seeds: the n that is said elsewhere; it is left out here.
        """
        entry = row.entries[column]
        tied = " =" if entry.standing == "tied" else ""
        return f"{entry.text(seeds)}{tied}{' ≈ chance' if self.is_chance(row, column) else ''}"

    def is_chance(self, row: Row, column: Column) -> bool:
        """Whether the mean of an entry is not better than chance by the margin on the task's card."""
        values, chance = row.entries[column].scores, self.chance.get(column)
        return bool(values) and chance is not None and not chance.beaten(fmean(values), column.direction)


@dataclass(frozen=True)
class ScorePanel:
    """The scores of one column as a chart draws them.

    Args:
        title: task, metric and budget.
        scores: of each seed, by row.
        intervals: 95 % interval of the mean, by row; None for one seed.
        chance: the reference, if it is known.
    """

    title: str
    scores: dict[str, list[float]]
    intervals: dict[str, tuple[float, float] | None]
    chance: float | None


def make_table(
    cells: Sequence[Cell], grid: GridSpec | None = None, all_studies: Mapping[str, Study] | None = None
) -> Table:
    """The board of some cells; rows by name, columns by task. Only scores that can be averaged share an entry.

    Trials have no row: the rows tuned by them show how many there were, and what they took.

    Args:
        cells: what is shown.
        grid: of which all of them are: what it says of all its runs is not named among the settings of each, nor in
            their names how they are tuned if it has no others.
        all_studies: those that may have selected a cell; by default the trials among the cells.
    """
    own_studies = studies(cell.record for cell in cells if cell.record)
    grouped, used = _group(cells, own_studies if all_studies is None else all_studies, grid)
    entries = {one: {column: Entry(tuple(some)) for column, some in fields.items()} for one, fields in grouped.items()}
    columns = sorted({column for fields in entries.values() for column in fields}, key=lambda column: column.order)
    standings = {column: _standings(column, entries) for column in columns}
    settings, tune = settings_of(grid), grid.tune if grid else None
    unsorted = (
        Row(
            one,
            settings(one),
            {column: replace(entry, standing=standings[column].get(one)) for column, entry in fields.items()},
            tuple(used[one].values()),
            f"tuned({tune.trials})" if tune and not tune.defaults else "",
        )
        for one, fields in entries.items()
    )
    rows = sorted(unsorted, key=lambda row: (row.name, row.settings))
    cards = _cards(columns)
    scoring = _scoring(cards, rows)
    if isinstance(grid, Track) and (groups := grid.group_of()):
        scoring = {column: one.model_copy(update={"group": groups[column.task]}) for column, one in scoring.items()}
    return Table(
        columns,
        rows,
        _headings(columns),
        cards,
        scoring,
        _chances(scoring, rows),
        _reasons(rows, own_studies.values()),
        sum(study.trials for study in own_studies.values()),
    )


def _group(
    cells: Iterable[Cell], all_studies: Mapping[str, Study], grid: GridSpec | None
) -> tuple[dict[Configuration, dict[Column, list[Cell]]], dict[Configuration, dict[str, Study]]]:
    """The cells of each configuration and column, and the studies by which each configuration was selected."""
    grouped: dict[Configuration, dict[Column, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    used: dict[Configuration, dict[str, Study]] = defaultdict(dict)
    fields: dict[tuple[int, ...], list[Cell]] = {}
    for cell in cells:
        if cell.spec.trial is None:
            if cell.spec.parts not in fields:
                spec = cell.spec if grid else up_to_date(cell.spec, all_studies)
                one = Configuration.of(spec)
                if spec.selected and (study := study_of(spec)) in all_studies:
                    used[one][study] = all_studies[study].first(spec.selected.trials)
                fields[cell.spec.parts] = grouped[one][Column.of(cell.spec)]
            fields[cell.spec.parts].append(cell)
    return grouped, used


def _headings(columns: Sequence[Column]) -> dict[Column, list[str]]:
    """Task, metric and budget; where two columns would read the same, also whatever else there is."""
    short = {column: [column.task, f"{column.metric} {column.arrow}", budget_text(column.budget)] for column in columns}
    times = Counter(map(tuple, short.values()))
    return {column: [*lines, *(column.details if times[tuple(lines)] > 1 else [])] for column, lines in short.items()}


def _standings(
    column: Column, entries: Mapping[Configuration, Mapping[Column, Entry]]
) -> dict[Configuration, Standing]:
    """Who is the best of a column, or the same as the best as far as its seeds tell."""
    sign = 1 if column.direction == "maximise" else -1
    scores = {one: [sign * value for value in some[column].scores] for one, some in entries.items() if column in some}
    tied = same_as_best({one: values for one, values in scores.items() if values})
    return dict.fromkeys(tied, "tied" if len(tied) > 1 else "best")


def _cards(columns: Sequence[Column]) -> dict[Column, TaskCard]:
    """The cards of columns whose scores they still describe."""
    known = catalogue("task")
    cards = {name: TaskCard.load(name) for name in sorted({column.task for column in columns} & set(known))}
    mine = {column: cards[column.task] for column in columns if column.task in cards}
    return {column: card for column, card in mine.items() if card.fingerprint == column.fingerprint}


def _scoring(cards: Mapping[Column, TaskCard], rows: Iterable[Row]) -> dict[Column, Scoring]:
    """How the scores of each column are read: as its card says; of a task without one here, as its records say.

    Of records that say different things, those count that have the latest baseline.
    """
    scoring = {column: card.scoring for column, card in cards.items()}
    latest: dict[Column, tuple[bool, Baseline, str]] = {}
    for row in rows:
        for column, entry in row.entries.items():
            for cell in entry.cells if column not in cards else ():
                if (own := cell.spec.task.scoring) is None:
                    continue
                baseline = Baseline.of_record(cell.record) if cell.record and cell.state == "done" else None
                key = (baseline is not None, baseline or Baseline("", "", 0.0, ""), own.model_dump_json())
                if column not in latest or latest[column] < key:
                    latest[column], scoring[column] = key, own
    return scoring


def _chances(scoring: Mapping[Column, Scoring], rows: Iterable[Row]) -> dict[Column, Chance]:
    """The reference of each column: as the latest record computed it, else as its card says."""
    chances = {column: one.chance for column, one in scoring.items()}
    latest: dict[Column, Baseline] = {}
    for row in rows:
        for column, entry in row.entries.items():
            if (one := entry.baseline) and (column not in latest or latest[column] < one):
                latest[column] = one
    for column, one in latest.items():
        margin = scoring[column].chance.margin if column in scoring else 0.0
        chances[column] = Chance(value=one.value, of=one.of, margin=margin)
    return chances


def _reasons(rows: Sequence[Row], all_studies: Iterable[Study]) -> list[tuple[str, str]]:
    """Why cells are not done, and trials without a score: where, and the reason, each once."""
    reasons = {
        (f"{cell.state}: {column.task} × {row.label}", cell.reason)
        for row in rows
        for column, entry in row.entries.items()
        for cell in entry.cells
        if cell.reason
    }
    told = {
        (column.task, row.configuration.name)
        for row in rows
        for column, entry in row.entries.items()
        if any(cell.reason for cell in entry.cells)
    }
    for study in all_studies:
        place = study.spec.task.name, study.spec.architecture.name
        if study.lost and (study.scores or place not in told):
            reasons.add((f"trials: {' × '.join(place)}", study.lost))
    return sorted(reasons)


def budget_text(budget: Budget) -> str:
    """A budget in a few words."""
    parts = budget.model_dump(exclude_none=True)
    words = [f"{value:g} {name}" for name, value in parts.items() if name in {"steps", "epochs", "minutes"}]
    return ", ".join([*words, *(f"{name.replace('_', ' ')} {parts[name]}" for name in ("patience",) if name in parts)])
