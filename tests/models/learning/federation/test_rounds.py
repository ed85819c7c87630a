"""Three sites with patients of their own, pooled, one alone, and federated; what is exchanged is looked through."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models.card import Card
from models.cardfile import card_text
from models.commands.cli import app
from models.errors import PackageError, RunError
from models.learning.federation import rounds
from models.learning.federation.averaging import averaged
from models.learning.federation.exchange import Contribution, Exchange, site_name
from models.learning.options import FinetuneOptions
from models.networks.modules.backbone_file import backbone_note, imagenet_weights
from tests.models import phantoms
from tests.models.learning.runs import CPU

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)

SITES = ("north", "south", "west")
OPTIONS = FinetuneOptions(size=(96, 96), epochs=2, batch=8, rate=1e-3, head_rate=0.02, freeze=16, patience=2)
ROUNDS = 2


def report(site: str, images: int) -> Contribution:
    return Contribution(site, images, images, {"Disc": 1}, 0.5, 1.0, 0.6, 0.9)


def split_by_patient(whole: Path, parent: Path, count: int) -> list[Path]:
    """Folders with disjoint training patients of one folder."""
    head, *rows = (whole / "labels.csv").read_text().replace(",B,", ",A,").splitlines()  # one source a site
    folders = []
    for number in range(count):
        folder = parent / f"site{number}"
        folder.mkdir()
        (folder / "images").symlink_to(whole / "images")
        own = [row for row in rows if int(row.split(",")[2]) % count == number or not row.startswith("train")]
        (folder / "labels.csv").write_text("\n".join([head, *own]) + "\n")
        folders.append(folder)
    return folders


def run(folder: Path, sites: dict[str, Path], like: Card, times: int = ROUNDS) -> None:
    rounds.start(folder / "shared", like, imagenet_weights(), OPTIONS)
    for _ in range(times):
        for site, data in sites.items():
            rounds.train(
                folder / "shared", data, site, folder / site, like, imagenet_weights(), machine=CPU,
                advance=lambda *step: None,
            )  # fmt: skip
        if len(sites) > 1:
            rounds.average(folder / "shared", like, imagenet_weights())


@pytest.fixture(scope="module")
def federated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Path]]:
    parent = tmp_path_factory.mktemp("federation")
    whole = phantoms.write_folder(parent / "whole", train=180, validation=30)
    folders = split_by_patient(whole, parent, 3)
    run(parent / "all", dict(zip(SITES, folders, strict=True)), phantoms.card())
    return parent / "all", whole, folders


def test_the_mean_counts_images() -> None:
    start = {"w": torch.zeros(2)}
    one, other = {"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 4.0])}
    found = averaged(start, [(one, report("a", 30)), (other, report("b", 10))])
    torch.testing.assert_close(found["w"].float(), torch.tensor([0.75, 1.0]))


def test_weights_that_cannot_be_averaged_are_named() -> None:
    start, good = {"w": torch.zeros(2)}, ({"w": torch.ones(2)}, report("a", 1))
    for bad, sentence in (
        ([good], "1 of at least 2 sites have sent their weights"),
        ([good, ({"w": torch.ones(3)}, report("b", 1))], "b sent weights of another network"),
        ([good, ({"w": torch.tensor([1.0, torch.nan])}, report("b", 1))], "b sent weights that are no numbers"),
        ([good, ({"w": torch.ones(2)}, report("b", 0))], "b says that it trained on 0 images"),
    ):
        with pytest.raises(RunError, match=sentence):
            averaged(start, bad)
    for name in ("../up", "North", "", "a" * 41):
        with pytest.raises(RunError, match="is no name of a site"):
            site_name(name)


def test_each_round_is_the_mean_of_its_sites(federated: tuple[Path, Path, list[Path]]) -> None:
    exchange = Exchange(federated[0] / "shared")
    assert exchange.newest == ROUNDS + 1
    assert set(exchange.start(1)) == {"head.weight", "head.bias", "centre"}  # what is frozen is not exchanged
    contributions = exchange.contributions(1)
    assert [one.site for _, one in contributions] == sorted(SITES)
    counts = [one.images for _, one in contributions]
    expected = np.average([state["head.weight"].numpy() for state, _ in contributions], axis=0, weights=counts)
    np.testing.assert_allclose(exchange.start(2)["head.weight"].numpy(), expected, atol=1e-6)
    assert float(exchange.start(2)["head.weight"].abs().max()) > 0
    later = exchange.contributions(2)[0][0]
    torch.testing.assert_close(later["centre"], exchange.start(2)["centre"])  # of all sites, since the first round


def test_no_patient_image_or_path_is_in_what_is_exchanged(federated: tuple[Path, Path, list[Path]]) -> None:
    folder, whole, _ = federated
    files = [path for path in (folder / "shared").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert len(files) == 2 + (ROUNDS + 1) + ROUNDS * len(SITES)  # plan, backbone, starts, contributions
    secrets = [line.split(",")[1] for line in (whole / "labels.csv").read_text().splitlines()[1:]]
    for path in files:
        content = path.read_bytes()
        assert not [name for name in secrets if name.encode() in content], path
        for word in (str(whole.parent), "images/", ".png", "labels.csv", 'patient"'):
            assert word.encode() not in content, (path, word)
        header = content[8 : 8 + int.from_bytes(content[:8], "little")] if path.suffix == ".safetensors" else b"{}"
        found = json.loads(header).get("__metadata__", {})
        assert set(found) <= {"report", "note"}
        if json.loads(found.get("report", "{}")):
            assert set(json.loads(found["report"])) == set(Contribution.__dataclass_fields__)
    assert re.search(
        r"2 rounds of federated averaging of north \(\d+ images\)",
        backbone_note(folder / "shared" / "backbone.safetensors"),
    )


def test_federated_is_better_than_it_began_and_near_to_pooled(
    federated: tuple[Path, Path, list[Path]], tmp_path: Path
) -> None:
    folder, whole, _ = federated
    like = phantoms.card()

    def mean(shared: Path, number: int = 0) -> float:
        found = rounds.evaluate(shared, whole, "validation", like, imagenet_weights(), machine=CPU, number=number)
        assert set(found) == {"Disc", "Half"}
        return float(np.mean([one.value for one in found.values()]))

    assert mean(folder / "shared", 1) == 0.5  # a new head
    assert mean(folder / "shared") > 0.8
    first = Exchange(folder / "shared").contributions(1)
    assert all(one.score == 0.5 and one.trained_score > 0.5 for _, one in first)


def test_the_commands_say_what_is_wrong(federated: tuple[Path, Path, list[Path]], tmp_path: Path) -> None:
    folder, _, folders = federated
    like = tmp_path / "like"
    like.mkdir()
    (like / "card.toml").write_text(card_text(phantoms.card()), encoding="utf-8")

    def said(*words: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["federate", *map(str, words)])
        return done.exit_code, " ".join((done.stdout + done.stderr).split())

    shared = ("--shared", folder / "shared", "--like", like)
    code, text = said("average", *shared)
    assert code == 1 and "0 of at least 2 sites have sent their weights" in text
    code, text = said("start", *shared)
    assert code == 1 and "holds a federation already" in text
    site = ("--data", folders[0], "--site", "north", "--run", tmp_path / "run")
    code, text = said("train", "--shared", tmp_path, "--like", like, *site)
    assert code == 1 and "the coordinator begins it with" in text
    code, text = said("train", "--shared", folder / "shared", "--like", "chest-xray", *site)
    assert code == 1 and "The plan is another one: labels, network differ" in text
