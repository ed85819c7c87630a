"""The settings: one frozen object, read once from `readfirst.toml` and the environment, passed down."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from node.errors import ConfigurationError

DEFAULT_FILE = Path("readfirst.toml")
LOOPBACK = ("127.0.0.1", "::1", "localhost")

AETitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?", re.IGNORECASE)
_VIEWER = re.compile(r"https?://[^\s{}]*\{StudyInstanceUID\}[^\s{}]*")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(_Section):
    """Mutual TLS of the SCP and of associations to peers that ask for it (PS3.15 B.12)."""

    certificate: Path
    key: Path
    ca: Path


class Node(_Section):
    """Who we are on the DICOM network, and what we accept."""

    ae_title: AETitle = "READFIRST"
    host: str = "127.0.0.1"
    port: Port = 11112
    data: Path = Path("var")
    tls: Tls | None = None
    quiet_seconds: float = Field(2.0, ge=0.0, le=86400.0)
    accept_unknown: bool = False
    max_associations: int = Field(10, ge=1, le=1000)
    max_pdu: int = Field(262144, ge=4096, le=4194304)  # bytes, 0 (unlimited) is not offered
    network_timeout: float = Field(60.0, gt=0.0)  # seconds without a byte before an association is aborted
    min_free_mb: int = Field(1024, ge=0)  # below this much free space instances are refused with 0xA700


class Queue(_Section):
    """The message queue; an empty URL means the embedded Redis of `readfirst up`."""

    url: str = ""


class Database(_Section):
    """The ledger; an empty URL means SQLite below `node.data`."""

    url: str = ""


class WebTls(_Section):
    """The certificate of the page for people."""

    certificate: Path
    key: Path


class Web(_Section):
    """The page for people."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)  # 0: no page is served
    token: str = ""
    tls: WebTls | None = None
    public_url: str = ""  # what people type where it is not host and port: behind a reverse proxy, or by a name
    viewer_url: str = ""  # of the hospital's viewer, with {StudyInstanceUID}

    @model_validator(mode="after")
    def _token_off_loopback(self) -> Web:
        if (self.host not in LOOPBACK or self.public_url) and not self.token:
            raise ValueError("web.token is required where others than this machine can reach the page")
        return self

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


class Peer(_Section):
    """One DICOM peer: what it may send us and what it gets from us. With `folder` it is a directory, not a node."""

    ae_title: AETitle = "ANY"
    host: str = ""
    port: Port = 104
    folder: Path | None = None  # results are written here instead of being sent
    send: tuple[Literal["images"], ...] = ()
    receive: tuple[Literal["results"], ...] = ()
    query: bool = False
    tls: bool = False
    viewer: Literal["ohif", "stone", "weasis", "basic"] = "ohif"

    @model_validator(mode="after")
    def _address_or_folder(self) -> Peer:
        if self.folder and (self.host or self.send or self.query):
            raise ValueError("a peer with `folder` only receives: give neither host, send nor query")
        if not self.folder and not self.host:
            raise ValueError("give host and port (a DICOM node) or folder (a directory that gets the results)")
        if not self.folder and "ae_title" not in self.model_fields_set:
            raise ValueError("ae_title is missing: the AE title that this peer calls itself")
        return self


class Models(_Section):
    """Which model packages analyse, where further ones lie, and what an analysis may use."""

    packages: tuple[str, ...] = ("chest-xray", "chest-ct")
    folder: Path | None = None  # further packages; default: `models` below node.data
    device: str = "auto"  # auto, cpu, cuda, cuda:1, …
    time_limit: float = Field(600.0, ge=10.0)  # seconds, one study
    decode_seconds: float = Field(60.0, gt=0.0)  # seconds, one instance
    decode_memory_mb: int = Field(4096, ge=256)


class Worklist(_Section):
    """Where priorities go; the Unified Procedure Step SCP of the node is `ups`."""

    sinks: tuple[Literal["ups"], ...] = ("ups",)


class Settings(BaseSettings):
    """All settings. Environment variables `READFIRST_SECTION__KEY` win over the file."""

    model_config = SettingsConfigDict(env_prefix="READFIRST_", env_nested_delimiter="__", frozen=True, extra="forbid")

    node: Node = Node()
    queue: Queue = Queue()
    database: Database = Database()
    web: Web = Web()
    peers: dict[str, Peer] = {}
    models: Models = Models()
    worklist: Worklist = Worklist()

    @model_validator(mode="after")
    def _tls_has_a_certificate(self) -> Settings:
        wanting = self.peers_that(lambda peer: peer.tls)
        if wanting and self.node.tls is None:
            raise ValueError(f"peers.{next(iter(wanting))}.tls is true: node.tls must name certificate, key and ca")
        return self

    @property
    def model_folders(self) -> tuple[Path, ...]:
        """Folders that are searched for model packages before the shipped ones."""
        return (self.models.folder or self.node.data / "models",)

    def peers_that(self, accept: Callable[[Peer], bool]) -> dict[str, Peer]:
        """The peers for which `accept` holds, by name."""
        return {name: peer for name, peer in self.peers.items() if accept(peer)}

    @property
    def receivers(self) -> dict[str, Peer]:
        """The peers that get results, by name."""
        return self.peers_that(lambda peer: "results" in peer.receive)


def load(path: Path | None = None) -> Settings:
    """Read the settings from `path` (default: `readfirst.toml` here, if there is one) and the environment.

    Raises
    ------
    ConfigurationError
        Names each wrong or unknown key and what is wrong with it.
    """
    file = path or DEFAULT_FILE
    if path and not path.is_file():
        raise ConfigurationError(f"there is no configuration file {path}; write one or leave --config away")

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, TomlConfigSettingsSource(settings_cls, file)

    _refuse_unknown_variables()
    try:
        return FromFile()
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}") from error
    except ValidationError as error:
        lines = "; ".join(_sentence(item) for item in error.errors())
        set_there = any(name.upper().startswith("READFIRST_") and "__" in name for name in os.environ)
        where = " and ".join([str(file)] * file.is_file() + ["the environment"] * (set_there or not file.is_file()))
        raise ConfigurationError(f"{where}: {lines}") from error


def _refuse_unknown_variables() -> None:
    """pydantic-settings passes over variables of unknown sections; a typing mistake must not go unseen."""
    for variable in os.environ:
        section, _, key = variable.upper().removeprefix("READFIRST_").lower().partition("__")
        if variable.upper().startswith("READFIRST_") and key and section not in Settings.model_fields:
            raise ConfigurationError(f"the environment: unknown section {section} in {variable}")


def _sentence(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {key}"
    message: str = item["msg"].removeprefix("Value error, ")
    if item["type"] == "tuple_type":
        message = f'write a list, for example ["{item["input"]}"]'
    return f"{key}: {message}" if key else message
