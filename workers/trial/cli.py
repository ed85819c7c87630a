"""The commands `readfirst models …`: those of `models`, and the one that needs DICOM."""

from __future__ import annotations

from models.commands.add import TRIALS
from models.commands.cli import app
from workers.trial.command import test, wrong_of_shapes

app.command("test")(test)
TRIALS.append(wrong_of_shapes)
