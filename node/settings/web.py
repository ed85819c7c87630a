"""The section `[web]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from node.settings.base import LOOPBACK, AETitle, Section, matching

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?", re.IGNORECASE)
_VIEWER = re.compile(r"https?://[^\s{}]*\{StudyInstanceUID\}[^\s{}]*(\{SOPInstanceUID\}[^\s{}]*)?")
_TOKEN_LENGTH = 16  # characters
_GUESSABLE = f"web.token has fewer than {_TOKEN_LENGTH} characters and can be guessed: choose a longer, random one"
_READABLE = (
    "others than this machine reach the page without TLS: token and patients' names can be read on the way; "
    'set web.tls, or web.public_url = "https://…" where a reverse proxy speaks TLS'
)


class WebTls(Section):
    """The certificate of the web page, PEM."""

    certificate: Path = Field(description="certificate of the web page")
    key: Path = Field(description="its private key")


WebRight = Literal["read", "change", "metrics", "subscriptions", "predict"]
ALL_RIGHTS: tuple[WebRight, ...] = get_args(WebRight)


TokenName = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9_-]{0,31}",
        "a token's name is small letters, digits, _ and -, at most 32, beginning with a letter",
    ),
]


class WebToken(Section):
    """A token with rights of its own."""

    token: str = Field(min_length=_TOKEN_LENGTH, description=f"at least {_TOKEN_LENGTH} characters, random")
    rights: tuple[WebRight, ...] = Field(
        description='`"read"` (pages, search, retrieve, subscribe), `"change"` (claim, complete, retry; work items '
        'made or changed), `"metrics"` (`/metrics`), `"subscriptions"` (act for every subscriber\'s AE title), '
        '`"predict"` (files predicted at `/predict`, nothing else)'
    )
    ae_title: AETitle | None = Field(None, description="the subscriber that it may always act for (UPS-RS)")


class Web(Section):
    """The web page for people, and UPS-RS."""

    host: str = Field("127.0.0.1", description="address of the web page, and of UPS-RS below `/dicomweb`")
    port: int = Field(8080, ge=0, le=65535, description="their port; `0`: neither is served")
    token: str = Field(
        "",
        description="what people log in with, and programs send as `Authorization: Bearer`; required where others than "
        "this machine can reach the page",
    )
    tokens: dict[TokenName, WebToken] = Field(
        {}, description="tables `[web.tokens.NAME]`: further tokens, each with its own rights; `web.token` has all"
    )
    tls: WebTls | None = Field(
        None, description='`{ certificate = "…", key = "…" }`: the page by HTTPS (TLS 1.2 or 1.3)'
    )
    public_url: str = Field(
        "",
        description="what people type, where it is not host and port: `https://readfirst.example` (a name of this "
        "machine, or a reverse proxy with TLS)",
    )
    viewer_url: str = Field(
        "",
        description="the hospital's viewer; OHIF, opened at the slice that is shown: "
        "`https://ohif.example/viewer?StudyInstanceUIDs={StudyInstanceUID}&initialSOPInstanceUID={SOPInstanceUID}`",
    )

    @model_validator(mode="after")
    def _token_off_loopback(self) -> Web:
        if self.host in LOOPBACK and not self.public_url:
            return self
        if not self.token and not self.tokens:
            raise ValueError("web.token is required where others than this machine can reach the page")
        if self.token and len(self.token) < _TOKEN_LENGTH:
            raise ValueError(f"{_GUESSABLE}; others than this machine can reach the page")
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but unsafe, for the administrator; sentences."""
        public = self.host not in LOOPBACK or self.public_url
        readable = public and not self.tls and not self.public_url.startswith("https:")
        guessable = self.token and len(self.token) < _TOKEN_LENGTH
        return tuple(text for text, holds in ((_READABLE, readable), (_GUESSABLE, guessable)) if self.port and holds)

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        if value and not _ORIGIN.fullmatch(value):
            raise ValueError("write it as https://readfirst.example or https://readfirst.example:8443")
        return value.lower()

    @field_validator("viewer_url")
    @classmethod
    def _names_the_study(cls, value: str) -> str:
        if value and not _VIEWER.fullmatch(value):
            raise ValueError("write it as https://viewer.example/viewer?StudyInstanceUIDs={StudyInstanceUID}")
        return value
