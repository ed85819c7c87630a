"""What a process writes on standard error: an exception's type and place, never its message or a value."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from pydicom import Dataset, config
from pynetdicom import _config

from node import logs
from tests.node.phantoms import PATIENT_ID, PATIENT_NAME

ROOT = Path(__file__).parents[2]


class Screen(io.StringIO):
    """A standard error that says whether it is a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


Configure = Callable[..., Screen]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, own_logging: None) -> Configure:
    """Set the process's logging up as the commands do; undone when the test ends."""

    def configure(*, terminal: bool = False, verbose: bool = False) -> Screen:
        screen = Screen(terminal=terminal)
        monkeypatch.setattr(sys, "stderr", screen)
        logs.configure(verbose=verbose)
        return screen

    return configure


def meet(patient_name: str) -> None:
    """A bug that an instance meets: its message and the values around it are the patient's."""
    patient_id = PATIENT_ID
    try:
        raise KeyError(f"{patient_name} {patient_id}")
    except KeyError as error:
        raise ValueError(patient_name) from error


def stumble(log: structlog.stdlib.BoundLogger) -> None:
    try:
        meet(PATIENT_NAME)
    except ValueError:
        log.exception("instance refused", study="1.2.3")


def assert_no_patient(said: str) -> None:
    assert not [word for word in (*PATIENT_NAME.split("^"), PATIENT_ID) if word in said]


@pytest.mark.parametrize("terminal", [False, True], ids=["JSON", "terminal"])
def test_an_exception_is_its_type_and_place_and_no_value(configure: Configure, terminal: bool) -> None:
    screen = configure(terminal=terminal)
    stumble(structlog.get_logger("node.scp"))
    said = screen.getvalue()
    assert_no_patient(said)
    for words in ("instance refused", "1.2.3", "ValueError at test_logs.py:", ", called at test_logs.py:"):
        assert words in said


@pytest.mark.parametrize("terminal", [False, True], ids=["JSON", "terminal"])
def test_an_exception_that_is_handed_over_is_shown_no_further(configure: Configure, terminal: bool) -> None:
    screen = configure(terminal=terminal)
    log = structlog.get_logger("node.scp")
    try:
        meet(PATIENT_NAME)
    except ValueError as error:
        log.error("by hand", exc_info=error)
        kept = error
    log.error("later", exc_info=kept)
    log.error("as a tuple", exc_info=(ValueError, kept, kept.__traceback__))
    log.info("none", exc_info=False)
    assert_no_patient(screen.getvalue())
    assert len([line for line in ("by hand", "later", "as a tuple", "none") if line in screen.getvalue()]) == 4


def test_a_line_is_json_with_level_and_time_where_nobody_watches(configure: Configure) -> None:
    screen = configure()
    structlog.get_logger().warning("association rejected", peer="STRANGER", hint="name it in [peers.…]")
    (line,) = screen.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "event": "association rejected", "level": "warning", "peer": "STRANGER", "hint": "name it in [peers.…]"
    }  # fmt: skip


def test_the_place_is_the_innermost_line_first(configure: Configure) -> None:
    screen = configure()
    stumble(structlog.get_logger())
    kind, _, places = json.loads(screen.getvalue())["exception"].partition(" at ")
    lines = [int(place.rpartition(":")[2]) for place in places.split(", called at ")]
    assert kind == "ValueError"
    assert lines[0] == meet.__code__.co_firstlineno + 6
    assert stumble.__code__.co_firstlineno < lines[1]


@pytest.mark.parametrize("verbose", [False, True])
def test_each_instance_is_told_only_where_asked_for(configure: Configure, verbose: bool) -> None:
    screen = configure(verbose=verbose)
    structlog.get_logger().debug("instance stored")
    assert ("instance stored" in screen.getvalue()) == verbose


def test_libraries_that_quote_values_are_silent(configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
    screen = configure()
    for name in ("pydicom", "pynetdicom", "pynetdicom.acse"):
        logging.getLogger(name).error("%s", PATIENT_NAME)
    assert (_config.LOG_REQUEST_IDENTIFIERS, _config.LOG_RESPONSE_IDENTIFIERS) == (False, False)
    with warnings.catch_warnings(record=True) as met:
        logs.configure()  # its filter, within this block
        dataset = Dataset()
        dataset.add_new("PatientBirthDate", "DA", PATIENT_NAME)
    assert config.settings.writing_validation_mode == config.WARN  # it would have warned
    assert [str(warning.message) for warning in met] == []
    assert_no_patient(screen.getvalue() + caplog.text)


def test_a_whole_process_says_no_value(tmp_path: Path) -> None:
    """As the node runs: a real standard error, and a Data Set that pydicom warns of."""
    program = f"""
import logging, structlog
from node import logs
logs.configure(verbose=True)
for name in ("pydicom", "pynetdicom.acse"):
    logging.getLogger(name).error({PATIENT_NAME!r})
from pydicom import Dataset
dataset = Dataset()
dataset.add_new("PatientBirthDate", "DA", {PATIENT_NAME!r})
try:
    dataset[{PATIENT_ID!r}]
except Exception:
    structlog.get_logger().exception("instance refused", instance="1.2.3")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "instance refused" in done.stderr
    assert_no_patient(done.stdout + done.stderr)
