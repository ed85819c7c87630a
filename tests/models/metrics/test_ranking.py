from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.metrics import draws
from models.metrics.draws import patient_draws
from models.metrics.ranking import auc, auc_draws, auc_interval, within_draws


def test_auc_counts_ties_half() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(0, 6, 300).astype(float), rng.random(300) < 0.3
    assert auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_the_interval_is_wider_where_patients_repeat() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2 == 0
    scores = truth + rng.normal(size=200)
    alone = auc_interval(scores, truth, np.arange(200))
    assert alone.low < alone.value < alone.high
    repeated = auc_interval(np.tile(scores, 4), np.tile(truth, 4), np.tile(np.arange(200), 4))
    as_if_alone = auc_interval(np.tile(scores, 4), np.tile(truth, 4), np.arange(800))
    assert repeated.value == pytest.approx(alone.value)
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert as_if_alone.high - as_if_alone.low < 0.7 * (repeated.high - repeated.low)


def test_a_draw_counts_a_row_as_often_as_it_was_drawn() -> None:
    rng = np.random.default_rng(1)
    truth, scores = rng.random(60) < 0.4, rng.integers(0, 9, 60).astype(float)
    weights = patient_draws(np.arange(60) // 2, draws=5)
    for draw, area in zip(weights.astype(int), auc_draws(scores, truth, weights), strict=True):
        assert area == pytest.approx(roc_auc_score(np.repeat(truth, draw), np.repeat(scores, draw)), abs=1e-12)
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert np.isnan(auc_draws(scores, truth, truth[None].astype(float)))


def test_draws_in_parts_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.arange(90) // 3
    whole = patient_draws(groups, 20, seed=4)
    monkeypatch.setattr(draws, "CHUNK", 7 * 90)
    found = list(draws.drawn_parts(groups, 20, seed=4))
    assert [len(part) for part in found] == [7, 7, 6]
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_pairs_of_two_sources_do_not_count() -> None:
    """A source that is higher for all and holds more positives gains nothing by it."""
    rng = np.random.default_rng(2)
    sources = np.array(["A", "B"]).repeat(100)
    truth = rng.random(200) < np.where(sources == "A", 0.1, 0.6)
    scores = rng.normal(size=200) + 9 * (sources == "B")
    once = np.ones((1, 200))
    assert auc(scores, truth) > 0.7
    within = float(within_draws(scores, truth, sources, once)[0])
    pairs = [(auc(scores[rows], truth[rows]), truth[rows].sum() * (~truth[rows]).sum())
             for rows in (sources == "A", sources == "B")]  # fmt: skip
    assert within == pytest.approx(np.average([area for area, _ in pairs], weights=[count for _, count in pairs]))
    assert within < 0.6
    only_a = (sources == "A")[None].astype(float)
    assert within_draws(scores, truth, sources, only_a)[0] == pytest.approx(pairs[0][0])


def test_the_interval_of_few_is_wide_even_where_the_ranking_is_perfect() -> None:
    from models.metrics.ranking import small_auc_interval

    perfect = small_auc_interval(1.0, 3, 40)
    assert perfect.high == 1.0 and 0.3 < perfect.low < 0.8
    worst = small_auc_interval(0.0, 3, 40)
    assert worst.low == 0.0 and worst.high == pytest.approx(1 - perfect.low, abs=1e-6)
    some, more = small_auc_interval(0.8, 5, 20), small_auc_interval(0.8, 50, 200)
    assert some.low < more.low < 0.8 < more.high < some.high
