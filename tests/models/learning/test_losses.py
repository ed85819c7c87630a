from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.learning.losses import HEAVIEST, LOSSES, nt_xent

LOGITS = torch.tensor([[2.0, -1.0, 0.0], [-3.0, 0.5, 1.5]])
TARGET = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
TRUTH = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # positives 1, 2, 1 of 4


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def by_hand(positive: list[float], negative: list[float]) -> float:
    """Mean over the six pairs, given what each would count as a positive and as a negative."""
    flags = TARGET.flatten().tolist()
    return sum(p if flag else n for flag, p, n in zip(flags, positive, negative, strict=True)) / 6


def expected(name: str) -> float:
    p = [sigmoid(x) for x in LOGITS.flatten().tolist()]
    weights = [3.0, 1.0, 3.0] * 2  # negatives over positives of each label
    tables = {
        "bce": ([-math.log(q) for q in p], [-math.log(1 - q) for q in p]),
        "weighted-bce": (
            [-w * math.log(q) for w, q in zip(weights, p, strict=True)],
            [-math.log(1 - q) for q in p],
        ),
        "focal": (
            [-0.25 * (1 - q) ** 2 * math.log(q) for q in p],
            [-0.75 * q**2 * math.log(1 - q) for q in p],
        ),
        "asymmetric": (
            [-math.log(q) for q in p],
            [-(max(q - 0.05, 0) ** 4) * math.log(1 - max(q - 0.05, 0)) for q in p],
        ),
    }
    return by_hand(*tables[name])


@pytest.mark.parametrize("name", list(LOSSES))
def test_each_loss_is_what_its_paper_says(name: str) -> None:
    assert float(LOSSES[name](TRUTH)(LOGITS, TARGET)) == pytest.approx(expected(name), rel=1e-5)


def test_where_torch_has_it_the_loss_is_torchs() -> None:
    plain = functional.binary_cross_entropy_with_logits(LOGITS, TARGET)
    assert float(LOSSES["bce"](TRUTH)(LOGITS, TARGET)) == float(plain)
    weighted = functional.binary_cross_entropy_with_logits(LOGITS, TARGET, pos_weight=torch.tensor([3.0, 1.0, 3.0]))
    assert float(LOSSES["weighted-bce"](TRUTH)(LOGITS, TARGET)) == pytest.approx(float(weighted), rel=1e-6)


def test_a_label_without_or_with_few_positives_has_a_bounded_weight() -> None:
    truth = torch.zeros(1000, 2)
    truth[0, 1] = 1
    loss = LOSSES["weighted-bce"](truth)
    one = float(loss(torch.zeros(1, 2), torch.ones(1, 2)))
    assert one == pytest.approx(HEAVIEST * math.log(2), rel=1e-5)


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradients_stay_finite_where_logits_are_far_off(name: str) -> None:
    logits = torch.tensor([[-200.0, 200.0, -200.0, 200.0]], requires_grad=True)
    loss = LOSSES[name](torch.ones(3, 4))(logits, torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def naive(first: Tensor, second: Tensor, temperature: float) -> float:
    """Equation 1 of Chen et al., view by view."""
    views = [*first, *second]
    count, total = len(first), 0.0
    for i, one in enumerate(views):
        likeness = [float(functional.cosine_similarity(one, other, dim=0)) / temperature for other in views]
        partner = (i + count) % (2 * count)
        others = sum(math.exp(value) for k, value in enumerate(likeness) if k != i)
        total += -math.log(math.exp(likeness[partner]) / others)
    return total / len(views)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_is_the_naive_loop_and_monais(temperature: float) -> None:
    from monai.losses import ContrastiveLoss

    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(5, 8, generator=generator), torch.randn(5, 8, generator=generator)
    found = float(nt_xent(first, second, temperature))
    assert found == pytest.approx(naive(first, second, temperature), rel=1e-5)
    assert found == pytest.approx(float(ContrastiveLoss(temperature)(first, second)), rel=1e-5)


def test_nt_xent_is_least_where_views_of_an_image_agree() -> None:
    points = torch.eye(4)
    assert nt_xent(points, points, 0.1) < nt_xent(points, points.roll(1, 0), 0.1)
