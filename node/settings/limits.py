"""The table `[limits]`: how much of us a caller may take."""

from __future__ import annotations

from pydantic import Field

from node.settings.sections import Section


class Limits(Section):
    """What one caller may take of connections, time and room; more is refused, dropped or slowed down, never kept."""

    connections: int = Field(64, ge=4, le=4096)  # that are no association yet; the oldest of the busiest address goes
    request_seconds: float = Field(10.0, gt=0.0, le=600.0)  # until TLS and the A-ASSOCIATE-RQ are whole (ARTIM)
    associations_per_peer: int = Field(8, ge=1, le=1000)  # of node.max_associations
    association_hours: float = Field(24.0, gt=0.0)  # then the association is aborted before its next message
    object_mb: int = Field(4096, ge=1)  # a longer Data Set is refused with 0xA700 while it comes
    object_minutes: float = Field(60.0, gt=0.0)  # an instance that takes longer ends its association
    mb_per_second: int = Field(0, ge=0)  # of one peer, over all its associations: read no faster; 0: no limit
    instances_per_second: int = Field(0, ge=0)  # likewise
