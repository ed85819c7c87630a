"""The settings: one frozen object, read once from `readfirst.toml` and the environment, passed down."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from node.errors import ConfigurationError
from node.settings.audit import Audit
from node.settings.commitment import Commitment
from node.settings.mistakes import did_you_mean, is_setting, no_json, refuse_unknown_variables, sentences
from node.settings.models import Models
from node.settings.node import Limits, Node
from node.settings.orders import Reports
from node.settings.peers import Peer
from node.settings.results import Results
from node.settings.storage import Database, Queue, Retention
from node.settings.web import Web
from node.settings.worklist import Worklist

DEFAULT_FILE = Path("readfirst.toml")


class Settings(BaseSettings):
    """All settings. Environment variables `READFIRST_SECTION__KEY` win over the file."""

    model_config = SettingsConfigDict(env_prefix="READFIRST_", env_nested_delimiter="__", frozen=True, extra="forbid")

    node: Node = Node()
    limits: Limits = Limits()
    queue: Queue = Queue()
    database: Database = Database()
    web: Web = Web()
    peers: dict[str, Peer] = {}
    models: Models = Models()
    results: Results = Results()
    worklist: Worklist = Worklist()
    commitment: Commitment = Commitment()
    audit: Audit = Audit()
    reports: Reports = Reports()
    retention: Retention = Retention()

    @model_validator(mode="after")
    def _the_ups_peer_is_there(self) -> Settings:
        table = self.worklist.ups
        if table and table.peer not in self.peers:
            raise ValueError(
                f"worklist.ups.peer: there is no table [peers.{table.peer}]{did_you_mean(table.peer, self.peers)}"
            )
        if table and self.peers[table.peer].folder:
            raise ValueError(f"worklist.ups.peer: peers.{table.peer} is a folder, name a DICOM node")
        return self

    @model_validator(mode="after")
    def _tls_has_a_certificate(self) -> Settings:
        wanting = self.peers_that(lambda peer: peer.tls)
        for name, table in (("hl7", self.worklist.hl7), ("orders", self.worklist.orders)):
            if table and table.tls is True and self.node.tls is None:
                raise ValueError(f"worklist.{name}.tls is true: node.tls must name certificate, key and ca")
        if self.audit.syslog and self.audit.syslog.transport == "tls" and not (self.audit.syslog.tls or self.node.tls):
            raise ValueError("audit.syslog speaks TLS: node.tls or audit.syslog.tls must name certificate, key and ca")
        if wanting and self.node.tls is None:
            raise ValueError(f"peers.{next(iter(wanting))}.tls is true: node.tls must name certificate, key and ca")
        bound = self.peers_that(lambda peer: bool(peer.certificate))
        if bound and self.node.tls is None:
            raise ValueError(f"peers.{next(iter(bound))}.certificate: without node.tls nobody shows a certificate")
        return self

    @model_validator(mode="after")
    def _status_goes_to_peers(self) -> Settings:
        for ae_title in self.worklist.status_to:
            if self.peer_called(ae_title) is None:
                raise ValueError(f"worklist.status_to: no [peers.…] table has ae_title = {ae_title}")
        return self

    @model_validator(mode="after")
    def _reports_have_a_listener(self) -> Settings:
        if self.reports.enabled and self.worklist.orders is None:
            raise ValueError("reports.enabled is true: write a table [worklist.orders], whose listener receives them")
        return self

    @property
    def model_folders(self) -> tuple[Path, ...]:
        """Folders that are searched for model packages before the shipped ones."""
        return (self.models.folder or self.node.data / "models",)

    def peers_that(self, accept: Callable[[Peer], bool]) -> dict[str, Peer]:
        """The peers for which `accept` holds, by name."""
        return {name: peer for name, peer in self.peers.items() if accept(peer)}

    def peer_called(self, ae_title: str) -> Peer | None:
        """The DICOM peer of this AE title, None where no table names it."""
        found = self.peers_that(lambda peer: not peer.folder and peer.ae_title == ae_title)
        return next(iter(found.values()), None)

    @property
    def receivers(self) -> dict[str, Peer]:
        """The peers that get results, by name."""
        return self.peers_that(lambda peer: "results" in peer.receive)

    @property
    def committers(self) -> dict[str, Peer]:
        """The receivers that are asked whether they keep what they took (`query = true`), by name."""
        return {name: peer for name, peer in self.receivers.items() if peer.query}


def load(path: Path | None = None, *, required: bool = False) -> Settings:
    """Read the settings from `path` (default: `readfirst.toml` here, if there is one) and the environment.

    Parameters
    ----------
    required
        Something must be set, by file or environment: a node that nobody configured does not start.

    Raises
    ------
    ConfigurationError
        Names each wrong or unknown key and what is wrong with it.
    """
    file = path or DEFAULT_FILE
    if required and not path and not file.is_file() and not any(is_setting(one, Settings) for one in os.environ):
        raise ConfigurationError(
            f"there is no configuration: write {file.resolve()} (README.md has one to begin with), name another with "
            "--config, or set READFIRST_… variables"
        )
    if path and not path.is_file():
        raise ConfigurationError(f"there is no configuration file {path}; write one or omit --config")

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

    refuse_unknown_variables(Settings)
    try:
        return FromFile()
    except SettingsError as error:
        raise ConfigurationError(no_json(error)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}") from error
    except ValidationError as error:
        set_there = any(is_setting(one, Settings) for one in os.environ)
        where = " and ".join([str(file)] * file.is_file() + ["the environment"] * (set_there or not file.is_file()))
        raise ConfigurationError(f"{where}: {sentences(error, Settings)}") from error
