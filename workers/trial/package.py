"""`Package` with its trial: the class that `import readfirst` shows."""

from __future__ import annotations

import tempfile
from pathlib import Path

from models.authoring import package
from models.errors import PackageError
from workers.trial.trying import Trial, try_package


class Package(package.Package):
    """See `models.authoring.package.Package`; `test` makes the results that a PACS would receive."""

    def test(self, *files: str | Path, out: str | Path | None = None) -> Trial:
        """Analyse DICOM files of one study, or a study of shapes, and check the results as for a patient.

        Parameters
        ----------
        out
            Folder for the Segmentation, the Structured Report and the other results; None: they are not kept.

        Raises
        ------
        PackageError
            Something is wrong or missing on the card, or a result cannot be made or does not pass the checks: all of it
            in one message.
        TrialFailed
            A file is no DICOM image.
        """
        with tempfile.TemporaryDirectory() as room:
            made = self._written(Path(room))
            trial = try_package(made, [Path(one) for one in files], Path(out or Path(room) / "study" / "results"))
        if trial.faults:
            raise PackageError(f"{self.name} cannot be used as it is: " + " ".join(trial.faults))
        return trial
