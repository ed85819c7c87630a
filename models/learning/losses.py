"""Losses of multi-label classification, each the mean over images and labels, and those of contrastive learning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]
"""A number of logits (N, L) and truth (N, L), 0 or 1."""

HEAVIEST = 50.0  # a label with one positive among thousands would rule the step that it is in
FOCUS, ALPHA = 2.0, 0.25  # Lin et al., Focal Loss for Dense Object Detection, ICCV 2017
POSITIVE_FOCUS, NEGATIVE_FOCUS, MARGIN = 0.0, 4.0, 0.05  # Ridnik et al., Asymmetric Loss, ICCV 2021


def bce(_: Tensor) -> Loss:
    """Cross-entropy of each label."""
    return functional.binary_cross_entropy_with_logits


def weighted_bce(truth: Tensor) -> Loss:
    """Cross-entropy in which positives of a label weigh as much as its negatives together do, at most `HEAVIEST`."""
    positives = truth.float().sum(0)
    weight = ((len(truth) - positives) / positives.clamp(min=1)).clamp(1 / HEAVIEST, HEAVIEST)

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight.to(logits.device))

    return loss


def focal(_: Tensor) -> Loss:
    """MONAI's focal loss: what is right already counts less."""
    from monai.losses import FocalLoss  # noqa: PLC0415 (seconds to import)

    loss: Loss = FocalLoss(gamma=FOCUS, alpha=ALPHA)
    return loss


def asymmetric(_: Tensor) -> Loss:
    """Easy negatives count less, and those below the margin not at all."""
    return asymmetric_loss


def asymmetric_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Equation 7 of Ridnik et al., with 1 - p shifted by the margin for negatives."""
    shifted = (torch.sigmoid(-logits) + MARGIN).clamp(max=1)
    positive = target * torch.sigmoid(-logits) ** POSITIVE_FOCUS * functional.logsigmoid(logits)
    negative = (1 - target) * (1 - shifted) ** NEGATIVE_FOCUS * torch.log(shifted)
    return -(positive + negative).mean()


LOSSES: dict[str, Callable[[Tensor], Loss]] = {
    "bce": bce,
    "weighted-bce": weighted_bce,
    "focal": focal,
    "asymmetric": asymmetric,
}
"""By name, what makes the loss of the truth (N, L) of all training images."""


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalized temperature-scaled cross-entropy of two views (N, C) each of the same N images.

    Each of the 2 N views shall find the other view of its image among all others by cosine. Chen et al., A Simple
    Framework for Contrastive Learning of Visual Representations, ICML 2020, equation 1.
    """
    views = functional.normalize(torch.cat([first, second]), dim=1)
    likeness = (views @ views.T / temperature).fill_diagonal_(-torch.inf)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return functional.cross_entropy(likeness, partner)


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Each query (N, C) shall find its key (N, C) among that and the queue (K, C), all of length 1.

    He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020, equation 1. While the
    queue is empty the other keys of the batch are in its place.
    """
    if not len(queue):
        return functional.cross_entropy(queries @ keys.T / temperature, torch.arange(len(keys), device=keys.device))
    own = (queries * keys).sum(1, keepdim=True)
    likeness = torch.cat([own, queries @ queue.T], 1) / temperature
    return functional.cross_entropy(likeness, torch.zeros(len(queries), dtype=torch.int64, device=queries.device))
