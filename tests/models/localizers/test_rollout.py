"""Attention rollout: products by hand, a transformer whose attention is known, and MONAI's ViT stored as a program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import readfirst
import torch
from torch import Tensor, nn

from models import packages
from models.errors import PackageError
from models.exporters.program import exported, to_program
from models.localizers.rollout import RolloutLocalizer, rolled_out
from models.networks.modules.program import read_program

IMAGE, PATCH = (64, 96), 16  # four by six patches


def test_two_layers_are_multiplied_by_hand() -> None:
    first = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])  # two heads; their mean is all 1/2
    second = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    # (mean + I) / 2: [[.75, .25], [.25, .75]] and [[.5, .5], [.5, .5]]; the second times the first
    torch.testing.assert_close(rolled_out((first, second)), torch.full((2, 2), 0.5))
    torch.testing.assert_close(rolled_out((first,)), torch.tensor([[0.75, 0.25], [0.25, 0.75]]))


class LooksAtTheBrightest(nn.Module):
    """One layer of attention whose logits are the tokens' brightness, steeply: all look at the brightest patch."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 2, PATCH, stride=PATCH)
        self.patches.weight.data.fill_(1 / PATCH**2)
        nn.init.zeros_(self.patches.bias)  # type: ignore[arg-type]
        self.token = nn.Parameter(torch.zeros(1, 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.token, self.patches(x).flatten(2).transpose(1, 2)], 1)
        asked = tokens[..., 0][:, None, None].expand(-1, -1, tokens.shape[1], -1)
        tokens = tokens + torch.softmax(50 * asked, -1)[:, 0] @ tokens
        return tokens[:, 0]


@pytest.mark.parametrize("place", [(0, 0), (1, 5), (3, 2)])
def test_the_map_is_the_known_attention_on_the_images_grid(place: tuple[int, int]) -> None:
    image = np.zeros(IMAGE, np.float32)
    image.reshape(4, PATCH, 6, PATCH)[place[0], :, place[1]] = 1.0
    network = read_program(to_program(exported(LooksAtTheBrightest(), (1, 1, *IMAGE))))
    found = RolloutLocalizer(network, 0.0, 1.0, 1).localize(image, None)
    wanted = np.zeros((2, 4, 6), np.float32)
    wanted[:, *place] = 0.5  # half is the class token's own
    np.testing.assert_allclose(found.saliency, wanted, atol=1e-6)


def test_monais_vit_as_a_package_has_the_rollout_of_its_own_attention(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "mlp_dim": 16, "num_layers": 3, "num_heads": 2, "patch_size": (PATCH, PATCH)}
    vit = readfirst.monai("ViT", spatial_dims=2, in_channels=1, img_size=IMAGE, num_classes=2, save_attn=True, **sizes)
    for block in vit.blocks:  # type: ignore[union-attr]
        block.attn.qkv.weight.data *= 30  # type: ignore[union-attr]
    package = readfirst.Package("patches", vit, licence="Apache-2.0", trained_on="nothing: a test")
    package.input(modality=["DX"], size=IMAGE, smallest=IMAGE)
    package.finding("Fracture", sct="125605004", site="74670003")
    package.finding("Nodule", sct="27925004", site="39607008")
    package.output("sigmoid", where="rollout")
    model = packages.load(package.save(tmp_path / "patches"), "cpu")
    image = np.random.default_rng(0).random(IMAGE).astype(np.float32)
    found = model.predict(image)
    with torch.no_grad():
        logits = vit(torch.from_numpy(image)[None, None])[0]
    whole = np.eye(25)
    for block in vit.blocks:  # type: ignore[union-attr]
        attention = block.attn.att_mat[0].double().numpy().mean(0)  # type: ignore[union-attr]
        whole = (attention + np.eye(25)) / 2 @ whole
    assert np.ptp(whole[0, 1:]) > 0.01
    np.testing.assert_allclose(found.logits, logits[0].numpy(), atol=1e-5)
    for label in range(2):
        np.testing.assert_allclose(found.saliency[label], whole[0, 1:].reshape(4, 6), atol=1e-5)


def test_networks_without_attention_over_all_patches_are_refused(tmp_path: Path) -> None:
    flat = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    package = readfirst.Package("flat", flat, licence="Apache-2.0", trained_on="nothing: a test")
    package.input(modality=["DX"], size=IMAGE, smallest=IMAGE)
    package.finding("Fracture", sct="125605004", site="74670003")
    package.output("sigmoid", where="rollout")
    with pytest.raises(PackageError, match="needs a vision transformer whose attention is between all patches"):
        package.save(tmp_path / "flat")
