"""MONAI Bundles that the tests write, read by MONAI's own ConfigParser on one side and by ReadFirst on the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from models import packages
from models.commands.cli import app
from models.errors import PackageError
from models.importers import foreign
from models.importers.bundle.converting import convert
from models.importers.bundle.faults import Faults
from models.importers.bundle.transforms import preprocessing
from models.loaded import LoadedModel
from tests.models import xrv_phantoms

pytest.importorskip("monai", reason="needs PyPI monai")
pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI's, where it has no GPU to decode on

Json = dict[str, Any]
NAMES = ("Pleural effusion", "pneumothorax", "Lung Opacity")
LOAD: list[Json] = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": ["image"]},
]
RANGE = {
    "_target_": "ScaleIntensityRanged",
    "keys": "image",
    "a_min": 0,
    "a_max": 255,
    "b_min": -1,
    "b_max": 1,
    "clip": True,
}
STRETCH = {"_target_": "ScaleIntensityd", "keys": "image", "minv": 0.0, "maxv": 1.0}
WHITEN = {"_target_": "NormalizeIntensityd", "keys": "image"}
SHIFT = {
    "_target_": "NormalizeIntensityd",
    "keys": "image",
    "subtrahend": [0.4] * 3,
    "divisor": [0.25] * 3,
    "channel_wise": True,
}
THREE = {"_target_": "RepeatChanneld", "keys": "image", "repeats": 3}
TURN = {"_target_": "Transposed", "keys": "image", "indices": [0, 2, 1]}
SIGMOID = [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]
SOFTMAX = [
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
]

TUBE = """
[input]
modalities = ["DX"]

[[labels]]
name = "Tube too deep"
code = ["TUBE_DEEP", "99READFIRST", "Tube too deep"]
site = ["51185008", "SCT", "Thoracic structure"]
urgency = "HIGH"
acr = 1
colour = [1, 2, 3]
"""


def resize(*size: int) -> Json:
    return {"_target_": "monai.transforms.Resized", "keys": "image", "spatial_size": [*size]}


def inference(before: list[Json], after: list[Json], channels: int = 1, outputs: int = 3) -> Json:
    network = {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": channels, "out_channels": outputs}
    return {
        "imports": ["$import torch"],
        "network_def": network,
        "network": "$@network_def.to('cpu')",
        "preprocessing": {"_target_": "Compose", "transforms": before},
        "postprocessing": {"_target_": "Compose", "transforms": after},
    }


def metadata(names: tuple[str, ...] = NAMES) -> Json:
    outputs = {"pred": {"type": "probabilities", "channel_def": {str(i): name for i, name in enumerate(names)}}}
    image = {"type": "image", "modality": "CR", "num_channels": 1}
    return {
        "name": "Chest Phantom",
        "version": "0.2.1",
        "authors": "Nobody",
        "description": "A phantom.",
        "intended_use": "This is for tests only.",
        "network_data_format": {"inputs": {"image": image}, "outputs": outputs},
    }


@cache
def weights(channels: int, outputs: int) -> bytes:
    """Of MONAI's DenseNet121, random; its batch norms know noise."""
    from monai.networks.nets.densenet import DenseNet121

    torch.manual_seed(0)
    network = DenseNet121(2, channels, outputs)
    xrv_phantoms.settled(network, torch.randn(4, channels, 64, 64))
    out = BytesIO()
    torch.save(network.state_dict(), out)
    return out.getvalue()


def write(folder: Path, config: Json, about: Json | None = None) -> Path:
    """A bundle with these configurations and random weights of the form that `inference` asks for."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "metadata.json").write_text(json.dumps(about or metadata()), encoding="utf-8")
    (folder / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    network = config["network_def"]
    (folder / "models" / "model.pt").write_bytes(weights(network["in_channels"], network["out_channels"]))
    return folder


def by_monai(bundle: Path, file: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits and probabilities of one file, with the bundle's own network and transforms."""
    from monai.bundle.config_parser import ConfigParser

    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    network = parser.get_parsed_content("network").eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    given = parser.get_parsed_content("preprocessing")({"image": str(file)})["image"]
    with torch.inference_mode():
        logits = network(torch.as_tensor(given)[None])
    activation = parser.get_parsed_content("postprocessing").transforms[0]
    return logits[0].numpy(), np.asarray(activation({"pred": logits[0]})["pred"])


def picture(path: Path, rows: int, columns: int) -> tuple[Path, NDArray[np.float32]]:
    """A file that looks the same no way round, and its intensities 0..1."""
    noise = np.random.default_rng(1).integers(0, 128, (rows, columns))
    pixels = (noise + np.arange(rows)[:, None] * 100 / rows + np.arange(columns) ** 2 * 25 / columns**2).astype(
        np.uint8
    )
    Image.fromarray(pixels).save(path)
    return path, (pixels / 255).astype(np.float32)


def loaded(folder: Path) -> LoadedModel:
    model = packages.load(folder, "cpu")
    assert isinstance(model, LoadedModel)
    return model


@pytest.mark.parametrize(
    ("before", "channels", "size"),
    [
        ([*LOAD, RANGE, resize(224, 224)], 1, (224, 224)),
        ([*LOAD, resize(224, 160), STRETCH, THREE, SHIFT], 3, (160, 224)),
        ([*LOAD, TURN, resize(64, 96), WHITEN], 1, (64, 96)),
        ([*LOAD, resize(96, 64), TURN, STRETCH], 1, (64, 96)),
    ],
    ids=["range", "stretched, three channels", "turned, whitened", "resized, turned"],
)
def test_logits_are_monais(before: list[Json], channels: int, size: tuple[int, int], tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", inference(before, SIGMOID, channels))
    file, image = picture(tmp_path / "image.png", *size)
    logits, probabilities = by_monai(bundle, file)
    place, notes = convert(bundle, tmp_path)
    model = loaded(place)
    assert model.card.input.size == size
    prediction = model.predict(image)
    assert np.abs(logits).max() > 0.1
    assert np.abs(prediction.logits - logits).max() <= 1e-5 * max(1.0, np.abs(logits).max())
    assert np.abs(prediction.probabilities - probabilities).max() <= 1e-5
    assert prediction.saliency.shape == (3, size[0] // 32, size[1] // 32)
    assert any("squeezes" in note for note in notes)
    assert set(notes) <= set(model.card.limits)


def test_the_map_is_the_right_way_round(tmp_path: Path) -> None:
    """A change at the top right of the picture changes the map there."""
    model = loaded(
        convert(write(tmp_path / "bundle", inference([*LOAD, RANGE, resize(224, 224)], SIGMOID)), tmp_path)[0]
    )
    _, image = picture(tmp_path / "image.png", 224, 224)
    changed = image.copy()
    changed[:16, -16:] = 1 - changed[:16, -16:]
    difference = np.abs(model.predict(changed).saliency - model.predict(image).saliency).sum(0)
    assert difference[:3, -3:].mean() > 2 * max(difference[-3:, :3].mean(), difference[:3, :3].mean())


def test_softmax_of_two_is_one_finding(tmp_path: Path) -> None:
    config = inference([*LOAD, resize(96, 96), STRETCH], SOFTMAX, outputs=2)
    bundle = write(tmp_path / "bundle", config, metadata(("normal", "Pneumothorax")))
    file, image = picture(tmp_path / "image.png", 96, 96)
    logits, probabilities = by_monai(bundle, file)
    model = loaded(convert(bundle, tmp_path)[0])
    prediction = model.predict(image)
    assert [label.name for label in model.card.labels] == ["Pneumothorax"]
    assert abs(prediction.logits[0] - (logits[1] - logits[0])) <= 1e-5
    assert abs(prediction.probabilities[0] - probabilities[1]) <= 1e-5


SMALL: dict[str, Json] = {
    "ResNet": {"block": "basic", "layers": [1] * 4, "block_inplanes": [4, 4, 8, 8], "n_input_channels": 1},
    "EfficientNetBN": {"model_name": "efficientnet-b0", "in_channels": 1, "pretrained": True},
    "ViT": {"in_channels": 1, "img_size": [64, 96], "patch_size": [16, 16], "hidden_size": 12, "mlp_dim": 16}
    | {"num_layers": 2, "num_heads": 2, "classification": True},
}
POSITIONED = "patch_embedding.position_embeddings"


def small_bundle(folder: Path, name: str, after: list[Json], names: tuple[str, ...] = NAMES) -> Path:
    """A bundle whose network has few layers and random weights; it sees columns first, as MONAI's reader gives them."""
    from monai.networks import nets

    table: Json = {"spatial_dims": 2, "num_classes": len(names)} | SMALL[name]
    torch.manual_seed(0)
    network = getattr(nets, name)(**table | ({"pretrained": False} if "pretrained" in table else {}))
    xrv_phantoms.settled(network, torch.randn(4, 1, 64, 96))
    if name == "ViT":
        torch.nn.init.normal_(network.get_parameter(POSITIONED))
    config = inference([*LOAD, resize(64, 96), STRETCH], after, outputs=len(names))
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    torch.save({"epoch": 7, "state_dict": network.state_dict()}, folder / "models" / "model.pt")
    given = config | {"network_def": {"_target_": name, **table}}
    (folder / "configs" / "inference.json").write_text(json.dumps(given), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata(names)), encoding="utf-8")
    return folder


def by_their_network(bundle: Path, file: Path) -> NDArray[np.float32]:
    """Logits of MONAI's own network on what its own transforms make of the file."""
    from monai.bundle.config_parser import ConfigParser
    from monai.networks import nets

    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    table = {key: value for key, value in parser.get("network_def").items() if key not in ("_target_", "pretrained")}
    name = parser.get("network_def")["_target_"]
    network = getattr(nets, name)(**table | ({"pretrained": False} if "model_name" in table else {})).eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True)["state_dict"])
    given = parser.get_parsed_content("preprocessing")({"image": str(file)})["image"]
    with torch.inference_mode():
        found = network(torch.as_tensor(given)[None])
    logits: NDArray[np.float32] = (found[0] if isinstance(found, tuple) else found)[0].numpy()
    return logits


@pytest.mark.parametrize(
    ("name", "localizer"), [("ResNet", "hirescam"), ("EfficientNetBN", "hirescam"), ("ViT", "grad-cam")]
)
def test_other_networks_give_monais_logits(name: str, localizer: str, tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "bundle", name, SIGMOID)
    file, image = picture(tmp_path / "image.png", 96, 64)
    logits = by_their_network(bundle, file)
    model = loaded(convert(bundle, tmp_path)[0])
    prediction = model.predict(image)
    assert (model.card.localizer, model.card.input.size) == (localizer, (96, 64))
    assert np.abs(logits).max() > 0.1
    assert np.abs(prediction.logits - logits).max() <= 1e-5 * max(1.0, np.abs(logits).max())
    if localizer == "hirescam":  # exact: the cells add up to the logit less its bias, whose threshold is on the card
        count = prediction.saliency[0].size
        biases = [-label.saliency_threshold * count for label in model.card.labels]
        assert np.abs(prediction.saliency.sum((1, 2)) + biases - logits).max() < 1e-4


def test_exclusive_classes_stay_exclusive(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "bundle", "ResNet", SOFTMAX, ("normal", "Pneumothorax", "Nodule"))
    file, image = picture(tmp_path / "image.png", 96, 64)
    logits = by_their_network(bundle, file)
    model = loaded(convert(bundle, tmp_path)[0])
    assert [(label.name, label.finding) for label in model.card.labels] == [
        ("Normal", False),
        ("Pneumothorax", True),
        ("Nodule", True),
    ]
    wanted = np.exp(logits) / np.exp(logits).sum()
    assert np.abs(model.predict(image).probabilities - wanted).max() <= 1e-5


def test_every_fault_is_in_one_message(tmp_path: Path) -> None:
    config = inference([*LOAD, resize(100, 96), {"_target_": "Rotate90d"}], [{"_target_": "Invertd"}])
    about = metadata(("Tube too deep", "Nodule", "Line too short"))
    about["network_data_format"]["inputs"]["image"]["modality"] = "MR"
    bundle = write(tmp_path / "bundle", config, about)
    config["network_def"]["se"] = True
    (bundle / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(PackageError) as caught:
        convert(bundle, tmp_path)
    for words in ("a length of 100", "Rotate90d", "Invertd", "no argument 'se'", "modality 'MR'"):
        assert words in str(caught.value)
    config["network_def"].pop("se")
    (bundle / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(
        PackageError, match=r"(?s)1\. .*how to report 'Tube too deep', 'Line too short': write"
    ) as caught:
        convert(bundle, tmp_path)


def test_the_command_adds_it_and_says_what_differs(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", inference([*LOAD, resize(96, 96), STRETCH], SIGMOID))
    (bundle / "LICENSE").write_text("Of the bundle.", encoding="utf-8")
    done = CliRunner().invoke(app, ["add", str(bundle), "--into", str(tmp_path / "models")])
    assert done.exit_code == 0, done.output
    assert "keeps its aspect" in done.output
    place = packages.find("chest-phantom", [tmp_path / "models"])
    assert (place / "LICENSE").read_text(encoding="utf-8") == "Of the bundle."
    card = packages.load_card(place)
    assert (card.name, card.version, card.manufacturer) == ("chest-phantom", "0.2.1", "Nobody")
    assert [label.code.value for label in card.labels] == ["60046008", "36118008", "112001"]
    assert card.weights is not None
    assert card.weights.source_sha256 == packages.sha256(bundle / "models" / "model.pt")
    assert any("tests only" in limit for limit in card.limits)
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    thresholds = [label.saliency_threshold for label in card.labels]
    assert thresholds == pytest.approx([-bias for bias in state["class_layers.out.bias"].tolist()], abs=1e-5)
    assert "the same" in CliRunner().invoke(app, ["add", str(bundle), "--into", str(tmp_path / "models")]).output


def test_labels_that_nobody_knows_are_told_by_a_file(tmp_path: Path) -> None:
    about = metadata(("Tube too deep", "Pneumothorax", "Nodule"))
    bundle = write(tmp_path / "bundle", inference([*LOAD, resize(96, 96), STRETCH], SIGMOID), about)
    with pytest.raises(PackageError, match=r"how to report 'Tube too deep': write configs/readfirst\.toml"):
        convert(bundle, tmp_path)
    told = bundle / "configs" / "readfirst.toml"
    told.write_text(TUBE.replace("TUBE_DEEP", "A_CODE_VALUE_THAT_IS_TOO_LONG"), encoding="utf-8")
    with pytest.raises(PackageError, match=r"labels\.0\.code\.0 .*at most 16 characters"):
        convert(bundle, tmp_path)
    told.write_text(TUBE, encoding="utf-8")
    card = loaded(convert(bundle, tmp_path)[0]).card
    assert [label.name for label in card.labels] == ["Tube_too_deep", "Pneumothorax", "Nodule"]
    assert (card.labels[0].urgency, card.input.modalities, card.input.views) == ("HIGH", ("DX",), ("PA", "AP"))


def spoilt(key: str, value: object) -> Callable[[Json], None]:
    return lambda config: config["network_def"].__setitem__(key, value)


def with_transform(stage: str, transform: Json) -> Callable[[Json], None]:
    return lambda config: config[stage]["transforms"].append(transform)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            spoilt("_target_", "monai.networks.nets.SEResNet50"),
            "SEResNet50 has no argument 'out_channels'",
        ),
        (spoilt("_target_", "monai.networks.nets.YOLO"), "YOLO is no network of MONAI that can be taken; there are"),
        (spoilt("_target_", "TorchVisionFCModel"), "it needs torchvision, which ReadFirst does not install"),
        (spoilt("_target_", "SwinUNETR"), "SwinUNETR segments, and bundles are taken whose network classifies"),
        (spoilt("_target_", "scripts.net.DenseNet121"), "network_def: scripts.net.DenseNet121 is not"),
        (spoilt("spatial_dims", 3), "network_def: spatial_dims must be 2: volumes of others' networks have no way in"),
        (spoilt("growth_rate", 16), "models/model.pt does not fit the network: size mismatch for features."),
        (spoilt("se", True), "network_def: DenseNet121 has no argument 'se'"),
        (spoilt("in_channels", 3), "colour images cannot be honoured"),
        (spoilt("out_channels", "$len(@names)"), "'$len(@names)' is Python or a macro, which is not run"),
        (spoilt("out_channels", "@nothing"), "'@nothing' names nothing"),
        (
            with_transform("preprocessing", {"_target_": "Rotate90d", "keys": "image"}),
            "preprocessing: Rotate90d cannot be honoured",
        ),
        (with_transform("preprocessing", {"_target_": "Resized", "spatial_size": [100, 100]}), "100 is not a multiple"),
        (
            with_transform("preprocessing", STRETCH | {"factor": 0.1}),
            "ScaleIntensityd: factor = 0.1 cannot be honoured",
        ),
        (with_transform("preprocessing", WHITEN | {"nonzero": True}), "NormalizeIntensityd: nonzero = True"),
        (with_transform("preprocessing", WHITEN | {"surprise": 1}), "NormalizeIntensityd: the argument 'surprise'"),
        (with_transform("preprocessing", {"_target_": "mine.Resized"}), "mine.Resized is not one of MONAI's"),
        (with_transform("preprocessing", RANGE | {"a_max": 0.5}), "clip = true would cut values off"),
        (with_transform("postprocessing", {"_target_": "Lambdad", "func": "$x"}), "'$x' is Python"),
        (with_transform("postprocessing", {"_target_": "Invertd"}), "postprocessing: Invertd cannot be honoured"),
        (
            with_transform("postprocessing", {"_target_": "AsDiscreted", "threshold": 1.0}),
            "threshold = 1 is not between",
        ),
        (lambda config: config.update(network_def=[1]), "network_def: no _target_ is not"),
        (lambda config: config.pop("postprocessing"), "has no 'postprocessing'"),
        (lambda config: config["postprocessing"].update(transforms=[]), "no Activationsd says"),
        (lambda config: config["preprocessing"].update(transforms=[*LOAD, STRETCH]), "no Resized says the size"),
    ],
)
def test_what_cannot_be_honoured_is_named(spoil: Callable[[Json], None], words: str, tmp_path: Path) -> None:
    config = inference([*LOAD, resize(96, 96), STRETCH], SIGMOID)
    bundle = write(tmp_path / "bundle", json.loads(json.dumps(config)))
    config = json.loads(json.dumps(config))
    spoil(config)
    (bundle / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(PackageError) as caught:
        convert(bundle, tmp_path)
    assert words in str(caught.value)
    assert str(bundle) in str(caught.value)


def test_stored_values_are_refused() -> None:
    faults = Faults()
    assert preprocessing([*LOAD, resize(96, 96), RANGE | {"a_max": 4095}], faults) is None
    assert "a_max = 4095 are stored values" in faults.found[0]


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", inference([*LOAD, resize(96, 96), STRETCH], SIGMOID))
    model = bundle / "models" / "model.pt"
    model.rename(model.with_suffix(".ts"))
    with pytest.raises(PackageError, match=r"model\.pt is missing; only model\.ts is there, a TorchScript program"):
        convert(bundle, tmp_path)
    (bundle / "configs" / "metadata.json").write_text('{"network_data_format": []}', encoding="utf-8")
    model.with_suffix(".ts").rename(model)
    with pytest.raises(PackageError, match="not written as the MONAI Bundle specification has it"):
        convert(bundle, tmp_path)
    (bundle / "configs" / "inference.json").rename(bundle / "configs" / "inference.yaml")
    with pytest.raises(PackageError, match=r"inference\.json cannot be read as JSON .*YAML cannot be honoured"):
        convert(bundle, tmp_path)


def test_references_are_followed_as_data(tmp_path: Path) -> None:
    config = inference("@steps", SIGMOID) | {"steps": [*LOAD, resize(96, 96), STRETCH | {"maxv": "@limits::high"}]}  # type: ignore[arg-type]
    bundle = write(tmp_path / "bundle", config | {"limits": {"high": 2.0}})
    card = loaded(convert(bundle, tmp_path)[0]).card
    assert card.network is not None
    assert (card.network.mean, card.network.std, card.network.scaling) == (0.0, 0.5, "range")


def test_a_bundle_on_other_images_than_radiographs_is_refused(tmp_path: Path) -> None:
    about = metadata()
    about["network_data_format"]["inputs"]["image"]["modality"] = "MR"
    bundle = write(tmp_path / "bundle", inference([*LOAD, resize(96, 96), STRETCH], SIGMOID), about)
    with pytest.raises(PackageError, match="the modality 'MR' is no radiograph"):
        convert(bundle, tmp_path)
    assert foreign.logit(0.5) == 0
