"""Which packages are in shadow mode for a study, as triage decided it."""

from __future__ import annotations

from sqlalchemy import Connection, select

from node.tables import DECISION

_ALL = "*"  # of worklist.policy.shadow


def silent_packages(connection: Connection, study_instance_uid: str) -> frozenset[str]:
    """The packages that saw the study and of which nothing is sent or raised, by the latest decision on it."""
    query = select(DECISION.c.inputs).where(DECISION.c.study_instance_uid == study_instance_uid)
    inputs = connection.execute(query.order_by(DECISION.c.id.desc()).limit(1)).scalar()
    if inputs is None:
        return frozenset()
    saw, quiet = frozenset(inputs["asked_by"]), frozenset(inputs["policy"]["shadow"])
    return saw if _ALL in quiet else saw & (quiet | frozenset(inputs["stuck"]))
