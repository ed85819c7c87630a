"""The commands on a phantom: pretrained, fine-tuned and trained, each on the weights of the one before."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import packages
from models.cardfile import card_text
from models.commands.backbone.finetune import finetune
from models.commands.backbone.pretrain import pretrain
from models.commands.cli import app
from models.errors import PackageError
from models.learning.options import FinetuneOptions, Options, PretrainOptions
from models.networks.modules.backbone_file import backbone_note, imagenet_weights
from tests.models import phantoms

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def test_the_stages_compose(tmp_path: Path) -> None:
    data = phantoms.write_folder(tmp_path / "data", train=60, validation=24)
    like = tmp_path / "like"
    like.mkdir()
    (like / "card.toml").write_text(card_text(phantoms.card()), encoding="utf-8")
    alike = ("--data", data, "--like", like, "--device", "cpu")
    quick = ("--size", 96, "--freeze", 13, "--epochs", 1)

    code, out, err = run("pretrain", *alike, *quick, "--run", tmp_path / "first", "--batch", 8)
    assert (code, err) == (0, err)
    first = tmp_path / "first" / "backbone.safetensors"
    assert f"train --weights {first}" in out.replace("\n", "")
    assert "by SimCLR on 60 images" in backbone_note(first)

    second = tmp_path / "second" / "backbone.safetensors"
    words = ("finetune", *alike, *quick, "--weights", first, "--run", second.parent, "--loss", "asymmetric")
    code, out, _ = run(*words, "--sampling", "balanced", "--attention", "cbam")
    assert code == 0
    assert "best epoch 1, mean AUC" in out
    assert "fine-tuned from backbone.safetensors" in backbone_note(second)
    record = json.loads((second.parent / "run.json").read_text())
    assert record["weights_sha256"] == packages.sha256(first) != packages.sha256(second)
    assert record["options"] | {"loss": "asymmetric", "sampling": "balanced", "attention": "cbam"} == record["options"]

    code, out, _ = run("train", "--data", data, "--like", like, "--weights", second, "--run", tmp_path / "third")
    assert code == 0
    assert run("verify", tmp_path / "third" / "phantom")[0] == 0
    training = packages.load_card(tmp_path / "third" / "phantom").training
    assert training.backbone == backbone_note(second)
    assert f"Backbone: {backbone_note(second)}" in run("show", tmp_path / "third" / "phantom")[1]
    measured = training.measured
    assert all(one.auc > 0.8 for one in measured)

    code, _, err = run(*words, "--resume")
    assert code == 1
    assert "attention was 'cbam' and is 'none'; sampling was 'balanced' and is 'natural'" in err.replace("\n", " ")


def test_what_is_wrong_is_a_sentence(tmp_path: Path) -> None:
    code, out, err = run("finetune", "--data", tmp_path, "--run", tmp_path / "run", "--loss", "hinge")
    assert (code, out) == (1, "")
    assert "There is no loss named 'hinge'" in err
    code, _, err = run("pretrain", "--data", tmp_path, "--run", tmp_path / "run", "--like", "chest-ct")
    assert code == 1
    assert "chest-ct has no [network]" in err.replace("\n", " ")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no weights")
    data = phantoms.write_folder(tmp_path / "data", train=60, validation=1)
    code, _, err = run("pretrain", "--data", data, "--run", tmp_path / "run", "--weights", bad, "--batch", 8)
    assert code == 1
    assert "cannot be read as weights of EfficientNet-Lite0" in err.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_the_help_needs_no_torch() -> None:
    heavy = "torch", "monai", "matplotlib", "nibabel"
    code = f"import sys, models.commands.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("command", "options"), [(pretrain, PretrainOptions), (finetune, FinetuneOptions)])
def test_the_command_line_has_every_option_and_its_default(
    command: Callable[..., None], options: type[Options]
) -> None:
    given = inspect.signature(command).parameters
    for field in fields(options):
        if field.name != "size":  # by default the card's
            assert given[field.name].default == field.default, field.name
