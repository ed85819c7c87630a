from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import packages
from models.card import Card
from models.commands.cli import app
from models.errors import PackageError
from models.provenance import UNNAMED, Facts, Owner, counted, inherited, own
from tests.models import phantoms

FACTS = Facts("images", (60, 30), (20, 10), "validation", "ab" * 32, "and all chosen on it", "A head.", "2026-11-30")


def shipped() -> tuple[Card, ...]:
    return tuple(packages.load_card(path) for path in packages.available())


@pytest.mark.parametrize("name", sorted(path.name for path in packages.available()))
def test_after_any_shipped_pattern_nothing_of_it_is_said(name: str) -> None:
    like = packages.load_card(packages.find(name))
    other = like.weights and like.weights.model_copy(update={"sha256": "0" * 64})
    card = own(like, UNNAMED, FACTS, like.localizer).model_copy(update={"weights": other})
    assert inherited(card, shipped()) == ()
    assert (card.manufacturer, card.licence, card.version) == ("not given", "not given", "1.0.0")
    assert card.training.measured == () and card.training.citation == "" and not card.training.simulated
    assert "60 images of 30 patients" in card.training.data and "60 images" in card.limits[1]
    named = own(like, Owner("Discs", "Hospital X"), FACTS, like.localizer)
    assert (named.title, named.manufacturer) == ("Discs", "Hospital X")


def test_each_text_that_is_left_is_named() -> None:
    like = packages.load_card(packages.find("chest-xray"))
    assert like.weights is not None
    assert inherited(like, shipped()) == ()
    copied = like.model_copy(update={"weights": like.weights.model_copy(update={"sha256": "0" * 64})})
    found = "; ".join(inherited(copied, shipped()))
    names = ("title", "manufacturer", "summary", "training.data", "training.split", "training.method")
    for name in (*names, "training.citation", "training.measured", "limits (Trained on 1,604 images"):
        assert f"{name}" in found
    assert "of the shipped package chest-xray, whose weights are others" in found
    mine = own(like, UNNAMED, FACTS, "cam").model_copy(update={"weights": copied.weights})
    assert inherited(mine.model_copy(update={"manufacturer": "ReadFirst"}), shipped())[0].startswith("manufacturer is")


def test_simulated_images_stay_said() -> None:
    like = packages.load_card(packages.find("chest-ct-findings"))
    card = own(like, UNNAMED, replace(FACTS, simulated=True), "volume-cam")
    assert card.training.simulated and "simulated ones" in card.limits[1]
    assert counted(["a", "a", "b"]) == (3, 2)


def test_verify_refuses_a_package_that_speaks_of_another(tmp_path: Path) -> None:
    folder = phantoms.write_package(tmp_path)
    with pytest.raises(PackageError, match="title is that of the shipped package chest-xray"):
        packages.require_own(folder)
    done = CliRunner().invoke(app, ["verify", str(folder)])
    assert done.exit_code == 1 and "training.data is that of the shipped package" in " ".join(done.stdout.split())
    assert CliRunner().invoke(app, ["verify", "chest-xray"]).exit_code == 0
