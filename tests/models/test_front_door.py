from __future__ import annotations

import subprocess
import sys

import pytest

import models


def test_the_front_door_names_what_others_may_use() -> None:
    assert all(hasattr(models, name) for name in models.__all__)
    public = {name for name, value in vars(models).items() if not name.startswith("_") and not _is_module(value)}
    assert public - {"annotations"} == set(models.__all__)


def _is_module(value: object) -> bool:
    return isinstance(value, type(sys))


@pytest.mark.parametrize(
    "name", ["models", "models.commands.cli", "models.packages", "models.prediction", "models.card"]
)
def test_importing_needs_no_torch(name: str) -> None:
    heavy = "torch", "safetensors", "sklearn", "SimpleITK", "matplotlib", "monai", "pandas", "skimage"
    code = f"import sys, {name}; print([one for one in {heavy!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
