"""docs/watching: what Prometheus and Grafana ask exists, and each alert says what to do."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from django.core.cache import cache
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tests.databases import ROOT, stage
from tests.papers import sections
from tests.records import a_reject, a_run
from transfer.engine.received import Totals
from transfer.models import FailedStep, FlowHour, Heartbeat
from transfer.problems.kinds import Code
from transfer.problems.outages import DOORS
from transfer.queue.jobs import work_off

WATCHING = ROOT / "docs/watching"
METRIC = re.compile(r"\bdtadmin_\w+")
PROBLEMS = re.compile(r'problem=~?"([^"]+)"')
RUNBOOK = re.compile(r"https://dtadmin\.example/help/en/(\w+\.md)#([\w-]+)")


def alerts():
    text = (WATCHING / "alerts.yml").read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def questions():
    """The expressions of the dashboard, each with the text of its legend."""
    panels = json.loads((WATCHING / "dashboard.json").read_text())["panels"]
    return [
        (target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]
    ]


@pytest.fixture
def labels(client, receiver, shop_all):
    """The metrics of an installation where there is something of everything: name → labels."""
    cache.clear()
    stage(shop_all, "balances", [("1", 1)])
    task = receiver.tasks.get(kind="balances")
    FlowHour.objects.add(task.pk, Totals(applied=1), timezone.now(), 1)
    a_run(receiver, queued_at=timezone.now())
    a_reject(receiver)
    Heartbeat.beat("shop: cron")
    work_off.enqueue("transferrun", 1)
    FailedStep.note_failure("due_tasks", "", KeyError())
    client.get("/health/live")
    text = client.get("/metrics").content.decode()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.django_db
def test_each_metric_that_is_asked_for_exists_and_has_the_labels(labels):
    asked = [*questions(), *((rule["expr"], str(rule["annotations"])) for rule in alerts())]
    for expression, shown in asked:
        names = set(METRIC.findall(expression))
        assert names <= labels.keys(), expression
        known = set().union(*(labels[name] for name in names)) | {"instance", "job", "le"}
        selected = re.findall(r"(\w+)=~?\"", expression)
        grouped = re.split(r"[ ,]+", ",".join(re.findall(r"by \(([^)]*)\)", expression)))
        named = re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", shown)
        assert {*selected, *filter(None, grouped), *named} <= known, expression


def test_each_problem_that_is_reported_by_itself_has_one_alert():
    """Not the doors of a server: the outage is reported in their place, see `outages.fold`."""
    found = [
        code
        for rule in alerts()
        for codes in PROBLEMS.findall(rule["expr"])
        for code in codes.split("|")
    ]
    assert sorted(found) == sorted(set(Code) - {*DOORS})


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_leads_to_what_to_do_in_both_languages(alert):
    paper, anchor = RUNBOOK.fullmatch(alert["annotations"]["runbook_url"]).groups()
    assert paper == "red.md"
    for language in ("en", "ru"):
        assert anchor in sections(ROOT / "docs" / language / paper)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=lambda arguments: arguments[-1],
)
def test_promtool_finds_no_fault(arguments):
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed: apt install promtool")
    checked = subprocess.run(
        [promtool, *arguments], cwd=WATCHING, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_papers_command_puts_the_address_into_every_link(tmp_path):
    command = re.search("`(sed [^`]+)`", (ROOT / "docs/WATCHING.md").read_text())[1]
    shutil.copy(WATCHING / "alerts.yml", tmp_path)
    subprocess.run(
        ["bash", "-euc", command.replace("ADDRESS", "dt.shop.local")], cwd=tmp_path, check=True
    )
    text = (tmp_path / "alerts.yml").read_text()
    assert set(re.findall(r"runbook_url: https://([^/]+)/", text)) == {"dt.shop.local"}


@pytest.mark.django_db
def test_promtool_finds_no_fault_in_the_metrics(client, labels):
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed: apt install promtool")
    text = client.get("/metrics").content
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
