"""The section `[models]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from node.settings.base import Section


class Models(Section):
    """Which model packages analyse, where further ones are, and what an analysis may use."""

    packages: tuple[str, ...] = Field(("chest-xray", "chest-ct"), description="the packages that analyse")
    folder: Path | None = Field(None, description="folder of your own packages; none: `models` in `node.data`")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda`, `cuda:1`, …")
    time_limit: float = Field(600.0, ge=10.0, description="seconds for one study")
    decode_seconds: float = Field(60.0, gt=0.0, description="seconds for decoding one instance")
    decode_memory_mb: int = Field(4096, ge=256, description="MiB of memory for decoding one instance")
