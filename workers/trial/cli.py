"""The commands `readfirst models …`: those of `models`, and the one that needs DICOM."""

from __future__ import annotations

from models.commands.cli import app
from workers.trial.command import test

app.command("test")(test)
