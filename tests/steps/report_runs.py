"""What tests of the report share: the records of a run, the page made of them, and what it may hold."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec

from colchis_steps._formats import documents as f
from colchis_steps._formats import images, models, rollouts, runs
from colchis_steps._formats import profiles as p
from colchis_steps._formats import runs as r
from colchis_steps._formats.keys import result_key
from colchis_steps._store.opening import open_store
from colchis_steps.report import main

RULE = r.Check("accuracy ≥ 0.95", True, "0.981")
CLASSES = ("no", "yes")
LABEL = p.ColumnProfile("label", "int64", "label", minimum=0.0, maximum=1.0, mean=0.5, classes={"no": 61, "yes": 59})
IMAGE = p.ColumnProfile(
    "image", "uint8", shape=(8, 8), minimum=0.0, maximum=16.0, mean=4.884, histogram=(9, 1, 1, 2, 1, 1, 1, 1, 2, 31)
)
DATA = p.DataReport(
    "digits", "sha256:da7a", {"train": p.SplitProfile(120, 8192, 3, (IMAGE, LABEL))}, (r.Check("x", True),)
)
HISTORY = tuple(r.Epoch(i, {"loss": 2 / i}, {"loss": 2.1 / i, "accuracy": 1 - 0.4 / i}, 1.0) for i in (1, 2, 3))
SPEED = r.Speed(18432.4, 0.0069, 0.0002, 0.0042, 0.0025)
TRAINING = r.TrainingReport("local", 2, 128, 2010, 18432.4, 0, HISTORY, speed=SPEED)
PICTURE = tuple(tuple((x * y * 5) % 256 for x in range(8)) for y in range(8))
SAMPLES = (r.Sample("yes", "yes", 0.991, PICTURE), r.Sample("no", "yes", 0.55, PICTURE))
EVALUATION = r.Evaluation(
    {"accuracy": 0.981, "loss": 0.09}, {}, 2, {"accuracy": 0.978}, CLASSES, ((58, 3), (1, 58)), (RULE,), SAMPLES
)
LAYER = images.Layer("models/1/saved_model.pb", "sha256:1a7e", 2048, "m")
IMAGE_REPORT = r.ImageReport("direct", "r/digits@sha256:c0de", "sha256:c0de", (LAYER,), 2048)
ROLLOUT = r.RolloutReport("local", "embedded", "http://127.0.0.1:8501/v1/models/digits", 2, 3, 3.7, 0.1)
ERRORS = rollouts.Finding("errors", 9, 31, "fail where stable answers; 1% is tolerated", 18.6, "bad")
LATENCY = rollouts.Finding("latency", 4, 22, "took more than 1.5 times stable's; half is tolerated", -10.9, "good")
BAD_STEP = rollouts.JudgedStep(10, 4.2, "fail", "errors: 9 of 31 <b>fail</b>", (ERRORS, LATENCY))
DETAILS: dict[str, f.Part | None] = {
    "validate_data": DATA,
    "train": TRAINING,
    "evaluate": EVALUATION,
    "upload": r.UploadReport(1, 2048, 2048, reused=False),
    "build_image": IMAGE_REPORT,
    "register": None,
    "rollout": ROLLOUT,
}
OUTPUTS = {"upload": {"version": "3"}, "validate_data": {"digest": "sha256:da7a"}}
CODE = models.Code("digits:build", "file:///c.zip", "sha256:c0", "1b2c")
CANDIDATE = models.Candidate(
    "r", "digits", (), "sha256:7ee", "file:///d", "sha256:da7a", CODE,
    {"epochs": 3}, {}, {"tensorflow": "2.21.0"}, "2026-01-01T00:00:00Z",
)  # fmt: skip


def record(store: Path, step: str, **changes: Any) -> None:
    details = msgspec.to_builtins(part) if (part := DETAILS[step]) else {}
    values: dict[str, Any] = {
        "step": step,
        "run": "r",
        "status": "succeeded",
        "inputs": {"model": "digits", "data": "file:///d"},
        "started_at": f"2026-01-01T00:00:{list(DETAILS).index(step):02}Z",
        "outputs": OUTPUTS.get(step, {}),
        "verdict": "pass" if step in {"evaluate", "rollout"} else "",
        "seconds": 1.5,
        "details": details,
    }
    open_store(store.as_uri()).write(result_key("r", step), f.encode(runs.StepResult(**values | changes)))


def reported(store: Path, status: str = "Succeeded", failures: str = "[]") -> tuple[str, str]:
    flags = [f"--store={store.as_uri()}", "--run=r", f"--status={status}", f"--failures={failures}"]
    assert main([*flags, f"--report-path={store}/page.html", f"--summary-path={store}/summary"]) == 0
    page = (store / "page.html").read_text()
    assert (store / "runs/r/report.html").read_text() == page
    assert f.decode(runs.StepResult, (store / "runs/r/report.json").read_bytes(), "report.json").status == "succeeded"
    return page, (store / "summary").read_text()


def parsed(page: str) -> ET.Element:
    """Parse the page as XML, which is stricter than HTML, and hold it to what Argo's viewer lets through."""
    doctype, _, rest = page.partition("\n")
    assert doctype == "<!DOCTYPE html>"
    root = ET.fromstring(rest)  # noqa: S314 - the page is our own
    for element in root.iter():
        assert element.tag not in {"script", "iframe", "object", "embed", "link", "img", "image", "use", "base", "form"}
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on"), name
            inside = name == "href" and re.fullmatch(r"#[a-z0-9-]+", value)
            assert inside or name not in {"href", "src", "style", "srcdoc"}, (element.tag, name, value)
    style = "".join(root.find("head").find("style").itertext())  # type: ignore[union-attr]
    assert not re.search(r"url\(|@import|expression|data:", style)
    return root


def text(root: ET.Element, section: str = "") -> str:
    found = root if not section else next(e for e in root.iter("section") if e.get("id") == section)
    return " ".join(" ".join(found.itertext()).split())


def sections(root: ET.Element) -> list[str]:
    return [str(element.get("id")) for element in root.iter("section") if element.get("id")]


def drawn(root: ET.Element, kind: str) -> list[ET.Element]:
    return [svg for svg in root.iter() if svg.tag == "svg" and svg.get("class") == kind]


def record_all(store: Path) -> Path:
    for step in DETAILS:
        record(store, step)
    open_store(store.as_uri()).write("runs/r/candidate/model.json", f.encode(CANDIDATE))
    return store
