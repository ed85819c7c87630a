"""The table `[commitment]` of the settings: storage commitment, in both roles."""

from __future__ import annotations

from pydantic import Field

from node.settings.sections import Section


class Commitment(Section):
    """How long peers and we wait for each other's word that instances are kept (PS3.4 Annex J)."""

    answer_seconds: float = Field(3600.0, gt=0.0)  # a report that did not come so long is not waited for
    stay_seconds: float = Field(2.0, ge=0.0, le=60.0)  # the association on which we asked stays open for the report
    report_hours: float = Field(24.0, gt=0.0)  # a report that a sender did not take so long is dropped
