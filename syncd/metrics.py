"""Every metric, defined and fed here, in Prometheus' text format.

What syncd did is read of the store when it is asked for: a daemon's runs and single runs count
alike, and a restart loses nothing. Only the scheduler's pulse, and the counts of what was pushed,
are those of this process. No address, name or number of a person is in any of it.

Names follow Prometheus' conventions (its pages on naming and on exposition formats).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from syncd.core.overview import LinkOverview, LinkRun, Overview, Pulse
from syncd.core.plan import Op
from syncd.core.report import Outcome
from syncd.core.sms import TextState

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one scrape shows."""

    overview: Overview
    pulse: Pulse | None
    pushes: Mapping[tuple[str, str], int]


_Values = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A gauge or a counter: its name, what it says, its labels, and its values."""

    family: type[GaugeMetricFamily] | type[CounterMetricFamily]
    name: str
    words: str
    labels: tuple[str, ...]
    values: Callable[[_Reading], _Values]


def exposition(
    overview: Overview, pulse: Pulse | None, pushes: Mapping[tuple[str, str], int]
) -> bytes:
    """Return all metrics as text.

    `pulse` is None where no scheduler is in this process. `pushes` counts what came in since
    the process began, by the place it came to and by what became of it.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(_Reading(overview, pulse, pushes)))
    return generate_latest(registry)


class _Scrape(Collector):
    """One reading, as the client library wants it."""

    def __init__(self, reading: _Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        for kind in _KINDS:
            family = kind.family(kind.name, kind.words, labels=kind.labels)
            for labels, value in kind.values(self._reading):
                family.add_metric(labels, value)
            yield family
        overview = self._reading.overview
        yield SummaryMetricFamily(
            _DURATION, "How long runs took.", overview.runs_total, overview.run_seconds_total
        )


def _of_links(value: Callable[[LinkOverview], float]) -> Callable[[_Reading], _Values]:
    return lambda reading: (((link.name,), value(link)) for link in reading.overview.links)


def _of_last_runs(value: Callable[[LinkRun], float | None]) -> Callable[[_Reading], _Values]:
    """Return one value for each link that has run; none where the run didn't come so far."""

    def values(reading: _Reading) -> _Values:
        for link in reading.overview.links:
            found = value(link.last) if link.last is not None else None
            if found is not None:
                yield (link.name,), found

    return values


def _of_judged(value: Callable[[LinkRun], float]) -> Callable[[_Reading], _Values]:
    """Return one value for each link that was judged: what waits outlives a run that fails."""
    return lambda reading: (
        ((link.name,), value(link.judged))
        for link in reading.overview.links
        if link.judged is not None
    )


def _of_ops(counts: Callable[[LinkOverview], Mapping[Op, int]]) -> Callable[[_Reading], _Values]:
    return lambda reading: (
        ((link.name, op), counts(link).get(op, 0)) for link in reading.overview.links for op in Op
    )


def _runs(reading: _Reading) -> _Values:
    for link in reading.overview.links:
        for outcome in Outcome:
            yield (link.name, outcome), link.runs_total.get(outcome, 0)


def _last_outcomes(reading: _Reading) -> _Values:
    for link in reading.overview.links:
        if link.last is not None:
            for outcome in Outcome:
                yield (link.name, outcome), link.last.outcome is outcome


def _pulse(value: Callable[[Pulse], float]) -> Callable[[_Reading], _Values]:
    return lambda reading: [] if reading.pulse is None else [((), value(reading.pulse))]


def _run_ended(reading: _Reading) -> _Values:
    ended = reading.overview.run_ended
    return [] if ended is None else [((), ended.timestamp())]


_G, _C = GaugeMetricFamily, CounterMetricFamily
_DURATION: Final = "syncd_run_duration_seconds"
_LINK: Final = ("link",)
# fmt: off
_KINDS: Final = (
    _Kind(_G, "syncd_build_info", "Which syncd this is; always 1.", ("version",),
          lambda _: [((version("syncd"),), 1)]),
    _Kind(_G, "syncd_run_last_timestamp_seconds", "When the last run ended, of any link.", (),
          _run_ended),
    _Kind(_G, "syncd_run_next_timestamp_seconds", "When the daemon runs next.", (),
          _pulse(lambda pulse: pulse.next_run.timestamp())),
    _Kind(_G, "syncd_run_under_way", "1 while the daemon runs, else 0.", (),
          _pulse(lambda pulse: pulse.running_since is not None)),
    _Kind(_G, "syncd_scheduler_beat_age_seconds",
          "How long ago the daemon's scheduler was last awake.", (),
          _pulse(lambda pulse: pulse.beat_s)),
    _Kind(_G, "syncd_runs_failed_in_row",
          "How many of the daemon's last runs were stopped as a whole, one after the other.", (),
          _pulse(lambda pulse: pulse.failed_in_row)),
    _Kind(_G, "syncd_link_in_step",
          "1 where the link's last run left nothing to do and nobody waiting, else 0.", _LINK,
          _of_links(lambda link: link.in_step)),
    _Kind(_G, "syncd_link_last_run_timestamp_seconds", "When the link's last run ended.", _LINK,
          _of_last_runs(lambda run: run.finished.timestamp())),
    _Kind(_G, "syncd_link_last_run_outcome", "1 for how the link's last run ended, else 0.",
          ("link", "outcome"), _last_outcomes),
    _Kind(_G, "syncd_link_pairs", "Contacts and members that are paired.", _LINK,
          _of_links(lambda link: link.pairs)),
    _Kind(_G, "syncd_link_contacts_read", "Contacts that the link's last run read.", _LINK,
          _of_last_runs(lambda run: run.planfix_read)),
    _Kind(_G, "syncd_link_members_read", "Members that the link's last run read.", _LINK,
          _of_last_runs(lambda run: run.list_read)),
    _Kind(_G, "syncd_link_certified",
          "1 where the link's last read of Planfix proved itself whole, else 0.", _LINK,
          _of_last_runs(lambda run: run.certified)),
    _Kind(_G, "syncd_link_withheld", "Operations that the link's last plan withheld.", _LINK,
          _of_judged(lambda run: run.withheld)),
    _Kind(_G, "syncd_link_held", "Contacts held in the link's last plan.", _LINK,
          _of_judged(lambda run: run.held)),
    _Kind(_G, "syncd_link_quarantined", "Contacts in quarantine at the link's last plan.", _LINK,
          _of_judged(lambda run: run.quarantined)),
    _Kind(_G, "syncd_link_latched", "People who are not subscribed again.", _LINK,
          _of_links(lambda link: link.latched)),
    _Kind(_C, "syncd_link_runs_total", "Runs of the link, by how they ended.",
          ("link", "outcome"), _runs),
    _Kind(_C, "syncd_link_operations_planned_total", "Operations that runs planned.",
          ("link", "op"), _of_ops(lambda link: link.planned_total)),
    _Kind(_C, "syncd_link_operations_applied_total", "Operations that runs carried out.",
          ("link", "op"), _of_ops(lambda link: link.applied_total)),
    _Kind(_C, "syncd_planfix_calls_total", "Calls made to Planfix, repeated ones too.", (),
          lambda reading: [((), reading.overview.planfix_calls_total)]),
    _Kind(_C, "syncd_pushes_total",
          "Requests to the receiver since it began, by place and by what became of them.",
          ("place", "result"), lambda reading: reading.pushes.items()),
    _Kind(_G, "syncd_sms_messages", "SMS in the outbox, by state.", ("state",),
          lambda reading: (((state,), reading.overview.sms.get(state, 0)) for state in TextState)),
)
# fmt: on

NAMES: Final = (*(kind.name for kind in _KINDS), _DURATION)
"""Each metric's name; a summary's series have `_count` and `_sum` behind it."""
