from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from models.learning.sampling import balanced_weights, in_order, plan
from models.learning.schedule import factor

# 100 images: 5 have the rare label, 40 the common one (2 of them both), 57 none.
TRUTH = np.zeros((100, 3), bool)
TRUTH[:5, 0] = True
TRUTH[3:43, 1] = True


def test_balanced_draws_take_all_labels_alike() -> None:
    weights = balanced_weights(TRUTH)
    assert weights.sum() == pytest.approx(1)
    drawn = [draw.row for epoch in range(300) for batch in plan(100, 10, 0, epoch, weights) for draw in batch]
    counts = np.bincount(drawn, minlength=100) / len(drawn)
    np.testing.assert_allclose(counts, weights, atol=0.005)
    # a third each by way of the rare label, the common one and none; the third label has no image
    assert counts[43:].sum() == pytest.approx(1 / 3, abs=0.01)
    assert counts[:5].sum() == pytest.approx(1 / 3 + 2 / 40 / 3, abs=0.01)


def test_natural_draws_show_each_image_once() -> None:
    batches = plan(23, 5, 0, 0)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5]
    rows = [draw.row for batch in batches for draw in batch]
    assert len(set(rows)) == 20
    assert len({draw.seed for batch in batches for draw in batch}) == 20


def test_order_and_seeds_are_those_of_seed_and_epoch() -> None:
    assert plan(40, 4, 1, 2) == plan(40, 4, 1, 2)
    assert plan(40, 4, 1, 2) != plan(40, 4, 1, 3)
    assert plan(40, 4, 1, 2) != plan(40, 4, 2, 2)


def test_in_order_shows_all_and_always_alike() -> None:
    batches = in_order(7, 3, 0)
    assert [[draw.row for draw in batch] for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert batches == in_order(7, 3, 0)


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    factors = [factor(step, 100, 0.1) for step in range(100)]
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 11)
    assert factors[10] == max(factors) == 1
    np.testing.assert_allclose(np.diff(factors[:10]), 1 / 11)
    assert all(later < earlier for earlier, later in pairwise(factors[10:]))
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[99] < 0.001
    assert factor(0, 1, 1.0) > 0
    assert factor(0, 10, 0.0) == 1


def test_the_fall_is_that_of_monais_schedule() -> None:
    import torch
    from monai.optimizers import WarmupCosineSchedule

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = WarmupCosineSchedule(optimizer, warmup_steps=10, t_total=100)
    for step in range(100):
        if step >= 10:
            assert factor(step, 100, 0.1) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        schedule.step()
