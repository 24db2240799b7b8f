"""Certifying: are the records of a leaderboard still what the code of today would give?

Records made by other code keep a probe (`rnnbench.records.probe`). It is taken again, for one run of each configuration
on each task, and compared; the outcome is a certificate for all runs of that configuration that were made by the same
code.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnbench.harness.job import Job, ProbeResult
from rnnbench.records.certificates import Certificate, Certificates, Key
from rnnbench.records.probe import code_version
from rnnbench.records.record import Record
from rnnbench.records.status import DATA_CHANGED, CurrentVersions

TakeProbes = Callable[[Sequence[Job]], Iterable[tuple[Job, ProbeResult | None]]]
"""Takes the probes of jobs, in any order; None for one whose process died."""
DIED = "the process that took the probe died"


def uncertified_records(records: Mapping[str, Record], certificates: Certificates) -> list[Record]:
    """One record of each group that is done and neither certified nor stale: that of the smallest seed."""
    versions = CurrentVersions.of(records.values(), certificates)
    chosen: dict[Key, Record] = {}
    for record in sorted(records.values(), key=lambda record: (record.spec.seed, record.id)):
        if record.status == "done" and not versions.judge(record)[1]:
            chosen.setdefault(_key(record), record)
    return list(chosen.values())


def certify(
    leaderboard: Path, records: Mapping[str, Record], uncertified: Sequence[Record], take_probes: TakeProbes
) -> Iterator[Certificate | tuple[Record, str]]:
    """Take probes again; gives a certificate for each as it is written, or why there is none.

    What was certified before a kill stays so.

    Raises:
        RnnbenchError: the certificates cannot be written.
    """
    certificates = Certificates(leaderboard)
    with TemporaryDirectory(prefix="rnnbench-certify-") as folder:
        by_id = {record.id: record for record in uncertified}
        jobs = [
            Job(
                record.spec,
                "certify",
                Path(folder, record.id),
                loggers=(),
                micro_batches=record.cost.micro_batches if record.cost else 1,
            )
            for record in uncertified
        ]
        for job, taken in take_probes(jobs):
            record = by_id[job.spec.id]
            if taken is None or taken.error:
                yield record, taken.error if taken else DIED
                continue
            certificate = compare(record, taken)
            certificates.add([certificate], records)
            yield certificate


def compare(record: Record, taken: ProbeResult) -> Certificate:
    """The certificate of a record whose probe was taken again."""
    assert record.probe is not None
    assert record.environment is not None
    assert record.code_version is not None
    assert taken.probe is not None
    assert taken.environment is not None
    exact = record.environment.computes_like(taken.environment)
    why = "" if record.data_fingerprint == taken.data else DATA_CHANGED
    if not why and (difference := record.probe.difference(taken.probe, exact)):
        why = f"the code no longer gives the same: {difference}"
    now, where = code_version(record.spec), taken.environment
    return Certificate(
        configuration=record.spec.configuration,
        made_by=record.code_version,
        holds_for=None if why else now,
        fails_for=now if why else None,
        why=why,
        run=record.id,
        exact=exact,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=f"{where.processor}, {where.device}, torch {where.torch}",
    )


def _key(record: Record) -> Key:
    return record.spec.configuration, record.code_version or ""
