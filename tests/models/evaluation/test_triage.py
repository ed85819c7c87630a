from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.datasets import Examples
from models.evaluation.triage import normal_alerts, triage_points, with_missing_triage, with_triage, without_triage
from tests.models import phantoms

CARD = without_triage(phantoms.card())
HIGH = CARD.model_copy(
    update={
        "labels": tuple(
            one.model_copy(update={"urgency": "HIGH", "operating_point": 0.3, "acr": 1}) for one in CARD.labels
        )
    }
)


def examples(
    count: int, positives: int, seed: int = 0
) -> tuple[Examples, np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Images of two sources; Disc is found well in A and is rare in B, Half is a guess. Half of B's are high in all."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((2 * count, 2), np.bool_)
    truth[:positives] = True
    truth[count] = True
    scores = np.clip(rng.normal(0.3, 0.1, truth.shape), 0, 1)
    scores[:, 0] += 0.25 * truth[:, 0]
    scores[count + 1 :] += 0.3
    files = tuple(Path(f"{number}.png") for number in range(2 * count))
    sources = np.array(["A", "B"]).repeat(count)
    patients = np.arange(2 * count) // 2
    return Examples(
        files, patients, sources, ("Disc", "Half"), truth, np.zeros((2 * count, 4)), np.full(truth.shape, np.nan)
    ), scores


def test_the_point_is_of_the_collections_in_which_the_label_is_measured() -> None:
    found, scores = examples(100, 40)
    points = triage_points(HIGH, "validation", found, scores)
    disc, half = points["Disc"], points["Half"]
    assert (disc.data, disc.positives, disc.negatives) == ("validation A", 40, 60)
    negatives = scores[:100][~found.truth[:100, 0], 0]
    assert disc.specificity == round(float((negatives < disc.threshold).mean()), 4) >= 0.95
    assert disc.sensitivity == round(float((scores[:40, 0] >= disc.threshold).mean()), 4)
    assert disc.sensitivity_interval and disc.sensitivity_interval[0] < disc.sensitivity < disc.sensitivity_interval[1]
    assert disc.auc_interval[0] > 0.7 and disc.raises_priority
    assert half.auc_interval[0] < 0.7 and not half.raises_priority


def test_nine_positives_give_no_point() -> None:
    found, scores = examples(100, 9)
    assert triage_points(HIGH, "validation", found, scores) == {}
    assert [label.triage for label in with_triage(HIGH, {}).labels] == [None, None]


def test_few_positives_leave_a_good_label_without_the_right_to_raise() -> None:
    """The same ranking on fewer images: the interval decides and not the figure."""
    found, scores = examples(40, 10, seed=3)
    scores[:, 0] = 0.3 + 0.05 * np.random.default_rng(1).normal(size=80)
    scores[:10, 0] += 0.04
    point = triage_points(HIGH, "validation", found, scores)["Disc"]
    assert point.auc > 0.7 > point.auc_interval[0]
    assert not point.raises_priority


def test_a_card_is_measured_at_its_own_point() -> None:
    """On other images the card's threshold stays, and its claim is measured anew."""
    found, scores = examples(100, 40)
    card = with_triage(HIGH, triage_points(HIGH, "validation", found, scores))
    others, drifted = examples(100, 40, seed=1)
    drifted = np.minimum(drifted + 0.1, 1)
    point = triage_points(card, "site", others, drifted)["Disc"]
    assert card.labels[0].triage is not None
    assert point.threshold == card.labels[0].triage.threshold
    assert point.specificity < 0.95
    assert not point.raises_priority
    assert with_missing_triage(card, {"Disc": point, "Half": point}).labels[0].triage == card.labels[0].triage


def test_normal_images_with_an_alert_are_counted() -> None:
    found, scores = examples(100, 40)
    card = with_triage(HIGH, triage_points(HIGH, "validation", found, scores))
    assert card.labels[0].triage is not None
    normal = np.zeros(200, np.bool_)
    normal[50:100] = True
    alerts = normal_alerts(card, normal, found.patients, scores)
    assert alerts is not None
    assert (alerts.images, alerts.labels) == (50, ("Disc",))
    expected = (scores[50:100, 0] >= card.labels[0].triage.threshold).mean()
    assert alerts.high.value == pytest.approx(expected)
    assert alerts.present.value == pytest.approx((scores[50:100] >= 0.3).any(axis=1).mean())
    assert normal_alerts(card, np.zeros(200, np.bool_), found.patients, scores) is None
