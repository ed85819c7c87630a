"""The section `[worklist.policy]`: how findings become priorities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from node.settings.base import PriorityName, Section


class PolicyRule(Section):
    """One row of the policy: a finding that is present, in such a patient, gives its study this priority."""

    finding: str = Field(description="label on a package's card; `*`: any")
    priority: PriorityName = Field(description="`HIGH`, `MEDIUM`, `LOW`")
    category: Literal[1, 2, 3] | None = Field(
        None, description="ACR: to be communicated within minutes, hours, days; none: by priority"
    )
    package: str = Field("*", description="a package; `*`: any")
    patients: Literal["any", "child", "adult"] = Field(
        "any", description="`any`, `child` (under 18), `adult`; a study without birth date fits `any` alone"
    )
    at_least: float = Field(
        0.0, ge=0.0, le=1.0, description="probability or score, where the card's threshold is not enough"
    )


class Policy(Section):
    """How findings become priorities; the first rule that fits a finding counts, else its card's urgency."""

    rules: tuple[PolicyRule, ...] = Field(
        (), description="rows of the policy, see below; empty: the urgency on each package's card"
    )
    unproven_may_raise: tuple[str, ...] = Field(
        (),
        description="labels that raise the priority wherever they are present, although the figures on their package's "
        'card do not show that they are accurate enough; `["*"]` is all. By default such findings are shown, and the '
        "order stays as it is",
    )
    shadow: tuple[str, ...] = Field(
        (),
        description='packages that only compute and record: nothing of them is sent and nothing raised; `["*"]` is all',
    )
    alerts_an_hour: int = Field(
        12, ge=0,
        description="so many studies are raised to HIGH in an hour; the next ones wait as MEDIUM until the hour has "
        "room; `0`: no limit",
    )  # fmt: skip
    stuck_studies: int = Field(20, ge=1, description="how many of its last studies `stuck_share` is counted over")
    stuck_share: float = Field(
        0.8, gt=0.0, le=1.0,
        description="a package that made more than this share of its last studies HIGH is in shadow mode until it "
        "stops",
    )  # fmt: skip
    late_hours: float = Field(
        24.0, gt=0.0,
        description="a study whose last image was received longer ago is no longer raised to HIGH, also where it "
        "waited",
    )  # fmt: skip
    head_start_hours: tuple[float, float] = Field(
        (24.0, 8.0),
        description="ageing: of HIGH before MEDIUM, of MEDIUM before LOW; used while somebody takes work items from "
        "this list; a HIGH younger than `late_hours` stands before all others",
    )
    keep_days: float = Field(
        90.0, gt=0.0,
        description="work items that were completed or canceled so long ago, or are unclaimed and whose study was "
        "received so long ago, are dropped, unless a Deletion Lock keeps them",
    )  # fmt: skip
