"""What sites exchange: a folder that all can read, with a plan and of each round the weights of all and of each site.

plan.json · round-001/start.safetensors · round-001/sites/NAME.safetensors. Files are safetensors: tensors by name, and
in the header a report of counts and figures. Nothing else is written, and no code in a file runs.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.data.files import write_whole
from models.errors import RunError

PLAN, START, SITES = "plan.json", "start.safetensors", "sites"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Contribution:
    """Counts and figures of a site in a round.

    Attributes
    ----------
    images, patients
        That were trained on.
    positives
        Of them, by label.
    score, held_out_loss
        On the fold that the site holds out, of the weights that the round began with.
    trained_score, trained_loss
        The same after the site's training.
    """

    site: str
    images: int
    patients: int
    positives: dict[str, int]
    score: float
    held_out_loss: float
    trained_score: float
    trained_loss: float


class Exchange:
    """The shared folder of a federation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, plan: dict[str, Any], start: State) -> None:
        """Open the folder with the first round; RunError where it holds a federation."""
        if (self.folder / PLAN).exists():
            raise RunError(f"{self.folder} holds a federation already: give another folder.")
        self.write_start(1, start)
        write_whole(self.folder / PLAN, (json.dumps(plan, indent=2) + "\n").encode())

    def plan(self) -> dict[str, Any]:
        """What all sites do alike; RunError where the folder holds no federation."""
        try:
            found: dict[str, Any] = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.folder} holds no federation: the coordinator begins it with `readfirst models federate start`."
            ) from error
        return found

    @property
    def newest(self) -> int:
        """The newest round; 1 the first."""
        numbers = (path.parent.name.removeprefix("round-") for path in self.folder.glob(f"round-*/{START}"))
        return max(int(number) for number in numbers)

    def start(self, number: int) -> State:
        """The weights that a round begins with."""
        return _read(self._at(number) / START)[0]

    def write_start(self, number: int, state: State) -> None:
        """Begin a round."""
        _write(self._at(number) / START, state, {})

    def contribute(self, number: int, state: State, report: Contribution) -> Path:
        """Write a site's weights and report, at once or not at all."""
        path = self._at(number) / SITES / f"{report.site}.safetensors"
        _write(path, state, asdict(report))
        return path

    def contributions(self, number: int) -> tuple[tuple[State, Contribution], ...]:
        """Of all sites of a round, by name; RunError names a file that is none."""
        found = []
        for path in sorted((self._at(number) / SITES).glob("*.safetensors")):
            state, report = _read(path)
            try:
                found.append((state, Contribution(**report)))
            except TypeError as error:
                raise RunError(f"{path} has no report of counts: ask the site to write it again.") from error
        return tuple(found)

    def _at(self, number: int) -> Path:
        return self.folder / f"round-{number:03}"


def site_name(name: str) -> str:
    """The name; RunError where it is none that a file may have."""
    if not NAME.fullmatch(name):
        raise RunError(f"{name!r} is no name of a site: take small letters, digits and hyphens, 40 at most.")
    return name


def _write(path: Path, state: State, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in state.items()}
    write_whole(path, safetensors.torch.save(tensors, metadata={"report": json.dumps(report)}))


def _read(path: Path) -> tuple[State, dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            report = json.loads((file.metadata() or {}).get("report", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, report  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"{path} cannot be read as weights ({error}): ask the site to write it again.") from error
