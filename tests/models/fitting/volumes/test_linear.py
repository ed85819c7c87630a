"""Heads that are fitted in the space of the volumes are those that are fitted in the space of the features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.fitting import heads
from models.fitting.rows import everything
from models.fitting.volumes import frozen
from models.fitting.volumes.linear import head_of
from models.fitting.volumes.store import Arrays, Maps


def drawn(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of deviation 1, and labels that depend on the first of them."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(count, width))
    features = (features - features.mean(0)) / features.std(0)
    truth = np.stack([features[:, 0] + generator.normal(size=count) > 0, generator.random(count) > 0.7], 1)
    return features, truth


@pytest.mark.parametrize(("count", "width"), [(60, 5), (12, 40)])
def test_the_head_is_that_of_the_features_themselves(count: int, width: int) -> None:
    features, truth = drawn(count, width)
    own = head_of(features, truth, 0.1, np.eye(width), everything(count), 0)
    other = heads.fit(features, truth, 0.1, np.eye(width))
    np.testing.assert_allclose(own.weight, other.weight, atol=2e-3)
    np.testing.assert_allclose(own.logits(features), other.logits(features), atol=5e-3)


def test_zones_are_whitened_alike_and_the_weights_are_of_raw_features() -> None:
    """A linear change of the channels, undone by the whitening, changes no logit."""
    generator = np.random.default_rng(1)
    features, truth = drawn(50, 3 * 4)
    mixing = generator.normal(size=(3, 3)) + 2 * np.eye(3)
    mixed = np.einsum("ncz,cd->ndz", features.reshape(50, 3, 4), mixing).reshape(50, -1)
    plain = head_of(features, truth, 0.1, np.eye(3), everything(50), 0)
    undone = head_of(mixed, truth, 0.1, np.linalg.inv(mixing), everything(50), 0)
    np.testing.assert_allclose(undone.logits(mixed), plain.logits(features), atol=1e-3)


def test_covariance_is_that_of_the_cells_of_each_volume(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    store, expected = Arrays(tmp_path), np.zeros((3, 3))
    for row, size in enumerate([(4, 2, 3), (2, 4, 4)]):
        depth, rows, columns = size
        fine = generator.normal(size=(depth, 1, 2 * rows, 2 * columns)).astype(np.float16)
        coarse = (generator.normal(size=(depth, 2, rows, columns)) + 5 * row).astype(np.float16)
        store.write(row, (fine, coarse))
        pooled = fine.astype(float).reshape(depth, 1, rows, 2, columns, 2).mean((3, 5))
        cells = np.concatenate([pooled, coarse.astype(float)], 1).transpose(1, 0, 2, 3).reshape(3, -1)
        expected += np.cov(cells, bias=True) / 2
    np.testing.assert_allclose(frozen.covariance(store, 2, 10**6), expected, atol=1e-3)


def test_maps_of_volumes_of_other_sizes_are_kept_side_by_side(tmp_path: Path) -> None:
    maps = Maps(tmp_path)
    maps.write(0, torch.arange(12.0).view(2, 1, 2, 3))
    maps.write(4, torch.full((2, 1, 1, 2), 7.0))
    assert maps.cells(np.array([0, 4]), 1).tolist() == [6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 7.0, 7.0]
