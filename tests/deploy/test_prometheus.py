"""The alert rules and the dashboard: checked by promtool, and of metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from syncd.metrics import NAMES, exposition
from tests.docs.pages import ROOT
from tests.page.samples import BAD_DAY, PULSE, PUSHES
from tests.promtool import promtool

FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "syncd.rules.yml"
RULE_TESTS = FOLDER / "syncd.rules.test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "syncd.json"

METRIC = re.compile(r"\bsyncd_[a-z_]+")


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def queries() -> Iterator[str]:
    """Yield what the dashboard asks, with its variables filled in."""
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$link", ".*")


def series() -> set[str]:
    text = exposition(BAD_DAY, PULSE, PUSHES).decode()
    return {
        sample.name
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }  # fmt: skip


def labels_of(name: str) -> dict[str, set[str]]:
    """Return the values that each label of a series has."""
    text = exposition(BAD_DAY, PULSE, PUSHES).decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                for label, value in sample.labels.items():
                    found.setdefault(label, set()).add(value)
    return found


def test_promtool_takes_the_rules() -> None:
    result = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))

    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    result = promtool("test", "rules", str(RULE_TESTS))

    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_tested_both_ways() -> None:
    tests = yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
    told = [
        (check["alertname"], bool(check["exp_alerts"]))
        for test in tests
        for check in test["alert_rule_test"]
    ]

    alerts = {rule["alert"] for rule in rules()}

    assert {name for name, fires in told if fires} == alerts
    assert {name for name, fires in told if not fires} == alerts


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=["rules", "dashboard"])
def test_only_metrics_that_there_are_are_used(path: Path) -> None:
    used = set(METRIC.findall(path.read_text(encoding="utf-8")))

    assert used
    assert used - series() == set()


def test_only_labels_and_values_that_there_are_are_asked_for() -> None:
    asked = [rule["expr"] for rule in rules()] + list(queries())

    wrong = [
        (name, label, value)
        for query in asked
        for name, selector in re.findall(r"\b(syncd_[a-z_]+)\{([^}]*)\}", query)
        for label, value in re.findall(r'(\w+)="([^"]*)"', selector)
        if value not in labels_of(name).get(label, set())
    ]

    assert wrong == []


def test_every_metric_has_its_place_on_the_dashboard_or_in_an_alert() -> None:
    text = DASHBOARD.read_text(encoding="utf-8") + RULES.read_text(encoding="utf-8")

    unused = {name for name in NAMES if name not in text}

    assert unused == {"syncd_build_info", "syncd_link_last_run_timestamp_seconds",
                      "syncd_link_runs_total"}  # fmt: skip


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    asked = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asked}]}))

    result = promtool("check", "rules", str(file))

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_dashboard_names_no_source_of_somebody_elses() -> None:
    found = dashboard()

    sources = {panel["datasource"]["uid"] for panel in found["panels"]}
    assert sources == {"${source}"}
    assert [panel["id"] for panel in found["panels"]] == list(range(1, len(found["panels"]) + 1))
