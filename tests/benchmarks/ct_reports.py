"""How the rules of chest CT read sentences of our own: `python -m tests.benchmarks.ct_reports`.

Precision, recall and F1 of "present" by group of findings, on the families of templates that the rules were written on
and on those held out; 95 % intervals by bootstrap of findings, for sentences of one finding are not independent.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from models.report_labels.labeler import Assertion, Labeler
from models.report_labels.rules import NO_FINDING, TABLES, read_rules
from tests.models.report_labels.made_sentences import (
    DEVELOPMENT,
    GROUPS,
    HELD_OUT,
    NAMES,
    NOTHING,
    made,
    made_in_chinese,
    placed,
)

DRAWS = 1000


def chinese() -> None:
    """The held-out sentences of the 14 findings in Chinese."""
    labeler = Labeler(read_rules(TABLES["chest-xray"]["zh"]))
    counts: dict[str, np.ndarray] = {}
    right: dict[str, list[bool]] = {}
    for one in made_in_chinese():
        found = labeler.label(one.text).assertions[one.label]
        true, said = one.assertion is Assertion.PRESENT, found is Assertion.PRESENT
        held = counts.setdefault(one.label, np.zeros(5))
        held += (true and said, said and not true, true and not said, found is one.assertion, 1)
        right.setdefault(one.family, []).append(found is one.assertion)
    rows = np.array(list(counts.values()))
    print("\nChinese, held out:", figures(rows.sum(0)), interval(rows))
    print({family: round(float(np.mean(one)), 3) for family, one in right.items()})


def outcomes(labeler: Labeler, families) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """By finding: true positives, false positives, false negatives, right assertions, sentences; errors by template."""
    counts = {name: np.zeros(5) for name in NAMES}
    wrong: Counter[str] = Counter()
    for one in made(families):
        found = labeler.label(one.text).assertions[one.label]
        true, said = one.assertion is Assertion.PRESENT, found is Assertion.PRESENT
        counts[one.label] += (true and said, said and not true, true and not said, found is one.assertion, 1)
        if found is not one.assertion:
            wrong[f"{one.family}: {found} for {one.assertion}: {one.text}"] += 1
    return counts, wrong


def figures(counts: np.ndarray) -> tuple[float, float, float, float]:
    """Precision, recall, F1 of "present", and the part of right assertions, of summed counts."""
    hit, false, missed, right, every = counts
    return hit / (hit + false), hit / (hit + missed), 2 * hit / (2 * hit + false + missed), right / every


def interval(rows: np.ndarray) -> tuple[float, float]:
    """Of F1, findings drawn with replacement."""
    drawn = np.random.default_rng(0).integers(0, len(rows), (DRAWS, len(rows)))
    low, high = np.quantile([figures(rows[index].sum(0))[2] for index in drawn], [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    labeler = Labeler(read_rules(TABLES["chest-ct"]["en"]))
    for title, families in (("development", DEVELOPMENT), ("held out", HELD_OUT)):
        counts, wrong = outcomes(labeler, families)
        print(
            f"\n{title}\n\n| group | findings | precision | recall | F1 | interval | assertion right |\n| --- "
            + "| --- " * 6
            + "|"
        )
        for group in (*dict.fromkeys(GROUPS.values()), "all"):
            rows = np.array([counts[name] for name in NAMES if group in (GROUPS[name], "all")])
            precision, recall, f1, right = figures(rows.sum(0))
            low, high = interval(rows)
            shown = f"{precision:.3f} | {recall:.3f} | {f1:.3f} | {low:.3f} to {high:.3f} | {right:.3f}"
            print(f"| {group} | {len(rows)} | {shown} |")
        for family in families:
            found = outcomes(labeler, {family: families[family]})[0]
            print(f"{family}: assertion right {figures(sum(found.values()))[3]:.3f}")
        print(*list(wrong)[:25], sep="\n")
    right = [one.place in labeler.label(one.text).because[one.label].locations for one in placed()]
    exact = [labeler.label(one.text).because[one.label].locations == (one.place,) for one in placed()]
    print(f"\nplaces: {sum(right)} of {len(right)} named, {sum(exact)} alone")
    chinese()
    wrong_ones = [text for text in NOTHING if labeler.label(text).assertions[NO_FINDING] is not Assertion.PRESENT]
    print("sentences without a finding that gave one:", wrong_ones)


if __name__ == "__main__":
    main()
