"""`import readfirst`: a model of your own as a package that the node runs; research software, not a medical device.

pkg = readfirst.Package("wrist-fracture", net, licence="Apache-2.0", trained_on="312 wrists, Hospital X")
pkg.input(modality=["DX", "CR"], body_part="WRIST", size=(224, 224), mean=0.5, std=0.25)
pkg.finding("Fracture", sct="125605004", site="74670003", urgency="HIGH")
pkg.output("sigmoid", where="grad-cam")
pkg.test("one.dcm")
pkg.save("wrist-fracture/")
"""

from __future__ import annotations

from models.errors import DataError, InputError, ModelsError, PackageError
from models.importers.monai_networks import monai
from workers.trial.package import Package
from workers.trial.trying import Trial, try_package

__all__ = ["DataError", "InputError", "ModelsError", "Package", "PackageError", "Trial", "monai", "try_package"]
