from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.settings import Settings, Web, load


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "readfirst.toml"
    file.write_text(text)
    return load(file)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_a_file_the_defaults_hold() -> None:
    assert load().model_dump() == Settings().model_dump()
    assert (load().node.ae_title, load().node.port, load().node.accept_unknown) == ("READFIRST", 11112, False)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READFIRST_NODE__PORT", "4242")
    settings = read(tmp_path, '[node]\nport = 11\nae_title = "FILE"')
    assert (settings.node.port, settings.node.ae_title) == (4242, "FILE")


def test_peers_are_told_apart(tmp_path: Path) -> None:
    text = '[peers.pacs]\nae_title = "P"\nhost = "h"\nreceive = ["results"]\n[peers.ct]\nae_title = "CT"\nhost = "c"'
    settings = read(tmp_path, text + '\nsend = ["images"]\n[peers.out]\nfolder = "out"\nreceive = ["results"]')
    assert list(settings.receivers) == ["pacs", "out"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[node]\nprot = 1", "unknown key node.prot: did you mean node.port?"),
        ("[nodes]\nport = 1", "unknown key nodes: did you mean node?"),
        ('[peers.pacs]\nae_title = "P"\nhost = "h"\ncolour = 1', "unknown key peers.pacs.colour"),
        ("[node]\nport = 0", "node.port is 0: write 1 or more"),
        ('[node]\nport = "many"', 'node.port is "many": write a whole number'),
        ('[node]\nae_title = "SEVENTEEN_LETTERS"', 'node.ae_title is "SEVENTEEN_LETTERS": write 1 to 16 characters'),
        ('[node]\nae_title = "A\\\\B"', 'node.ae_title is "A\\\\B": write 1 to 16 characters'),
        ('[node]\nae_title = " "', 'node.ae_title is " ": write 1 to 16 characters'),
        ('[node]\naccept_unknown = "perhaps"', 'node.accept_unknown is "perhaps": write true or false'),
        ("[node]\ndata = 3", "node.data is 3: write a path in quotes"),
        ("[node]\nquiet_seconds = 1e999", "node.quiet_seconds is Infinity: write 86400.0 or less"),
        ("node = 3", "toml: node: write a table"),
        ("[node]\nmax_pdu = 0", "node.max_pdu is 0: write 4096 or more"),
        ("[node]\nmin_free_mb = -1", "node.min_free_mb is -1: write 0 or more"),
        ('ae_title = "X"', "unknown key ae_title: did you mean node.ae_title or "),
        ("[queue]\nhost = 1\n[nod]", "unknown key queue.host: did you mean node.host or"),
        ("[queue]\nzzz = 1", "unknown key queue.zzz; the keys there are url"),
        ('[results]\nlanguage = "de"', 'results.language is "de": write "en" or "zh"'),
        ('[audit]\nsinks = ["sislog"]', 'audit.sinks.0 is "sislog": write "file" or "syslog": did you mean syslog?'),
        (
            "[node.tls]\ncertificate = 3",
            "node.tls.certificate is 3: write a path in quotes; node.tls.key is missing: its",
        ),
        ("[worklist.orders]\ntls = 'on the'", 'worklist.orders.tls is "on the": write true or false'),
        (
            "[worklist.orders]\ntls = { key = 'k' }",
            "toml: worklist.orders.tls.certificate is missing: certificate that",
        ),
        ('[worklist]\nsinks = ["Fax!"]', 'worklist.sinks.0 is "Fax!": name a sink: small letters'),
        ("[worklist]\n[worklist.fax]\nnumber = 1", "unknown key worklist.fax"),
        ('[peers.pacs]\nae_title = "P"', "peers.pacs: give host and port"),
        ('[peers.pacs]\nhost = "h"', "peers.pacs: ae_title is missing"),
        ('[peers.out]\nfolder = "f"\nhost = "h"', "peers.out: a peer with `folder` only receives"),
        ('[peers.pacs]\nae_title = "P"\nhost = "h"\nsend = ["all"]', 'peers.pacs.send.0 is "all": write "images"'),
        ('[peers.out]\nfolder = "f"\naddresses = ["10.0.0.1"]', "peers.out: a peer with `folder` only receives"),
        (
            '[peers.pacs]\nae_title = "P"\nhost = "h"\naddresses = ["pacs.example"]',
            'peers.pacs.addresses.0 is "pacs.example": write an address or a network',
        ),
        ('[peers.pacs]\nae_title = "P"\nhost = "h"\naddresses = "10.0.0.1"', 'write a list, for example ["10.0.0.1"]'),
        (
            '[peers.pacs]\nae_title = "P"\nhost = "h"\nworklist = ["write"]',
            'peers.pacs.worklist.0 is "write": write "read", "change" or "subscriptions"',
        ),
        ('[peers.pacs]\nae_title = "P"\nhost = "h"\ncertificate = "x"', "peers.pacs.certificate: without node.tls"),
        ("[limits]\nconnections = 0", "limits.connections is 0: write 4 or more"),
        ("[limits]\nobject_gb = 1", "unknown key limits.object_gb"),
        ('[web]\nhost = "0.0.0.0"', "web.token is required"),
        ('[worklist]\nstatus_to = ["READER"]', "worklist.status_to: no "),
        (
            '[[worklist.policy.rules]]\nfinding = "Nodule"\npriority = "STAT"',
            'worklist.policy.rules.0.priority is "STAT": write "HIGH", "MEDIUM" or "LOW"',
        ),
        ("[worklist.policy]\nstuck_share = 80", "worklist.policy.stuck_share is 80: write 1.0 or less"),
        ('[web]\npublic_url = "https://r.example"', "web.token is required"),
        ('[web]\npublic_url = "https://r.example/path"\ntoken = "t"', "web.public_url: write it as https://"),
        ('[web]\nviewer_url = "javascript:{StudyInstanceUID}"', "web.viewer_url: write it as https://"),
        ('[web]\nviewer_url = "https://viewer.example/"', "web.viewer_url: write it as https://"),
        ('[web]\nviewer_url = "https://v.example/{PatientName}{StudyInstanceUID}"', "web.viewer_url: write it"),
        ("[web]\nport = -1", "web.port is -1: write 0 or more"),
        ('[peers.pacs]\nae_title = "P"\nhost = "h"\ntls = true', "toml: peers.pacs.tls is true: node.tls must name"),
        ("[node", "is not valid TOML"),
        ('[worklist]\nsinks = ["hl7"]', "worklist: sinks names hl7: write its table [worklist.hl7]"),
        ('[worklist]\nsinks = ["webhook"]', "worklist: sinks names webhook: write its table [worklist.webhook]"),
        ('[worklist.hl7]\nhost = "h"', 'table [worklist.hl7]: add it, sinks = ["ups", "hl7"], or remove the table'),
        ('[worklist.webhook]\nurl = "https://h/"', 'add it, sinks = ["ups", "webhook"], or remove the table'),
        ('[worklist]\nsinks = ["webhook"]\nwebhook.url = "https://h/"\nups.peer = "r"', 'sinks = ["webhook", "ups"]'),
        ('[worklist.ups]\npeer = "ris"', "worklist.ups.peer: there is no table [peers.ris]"),
        ('[peers.riss]\nfolder = "f"\n[worklist.ups]\npeer = "ris"', "no table [peers.ris]: did you mean riss?"),
        ('[peers.ris]\nfolder = "f"\n[worklist.ups]\npeer = "ris"', "worklist.ups.peer: peers.ris is a folder"),
        ("[worklist.hl7]\nport = 1", "worklist.hl7.host is missing: address of the HL7 v2 receiver"),
        (
            '[worklist.hl7]\nhost = "h"\nmessage = "ADT^A08"',
            'worklist.hl7.message is "ADT^A08": write "ORM^O01", "OMG^O19"',
        ),
        ('[worklist.hl7]\nhost = "h"\nencoding = "KLINGON"', 'worklist.hl7.encoding is "KLINGON": the character set'),
        (
            '[worklist]\nsinks = ["hl7"]\n[worklist.hl7]\nhost = "h"\ntls = true',
            "worklist.hl7.tls is true: node.tls must name",
        ),
        ("[worklist.orders]\ntls = true", "worklist.orders.tls is true: node.tls must name"),
        (
            '[worklist.hl7]\nhost = "h"\npriorities = { URGENT = "S" }',
            'worklist.hl7.priorities.URGENT: write "HIGH", "MEDIUM" or "LOW"',
        ),
        ('[worklist.webhook]\nurl = "ftp://h/"', "worklist.webhook: url must be http://host/path or https://host/path"),
        ('[worklist.webhook]\nurl = "https://u:p@h/"', "worklist.webhook: url must be"),
        ('[worklist.webhook]\nurl = "http://h/"', "must be https:// where it leaves this machine"),
        ('[worklist.webhook]\nurl = "https://h/"\ntoken = "t"\ntoken_file = "f"', "give token or token_file"),
        (
            '[worklist.webhook]\nurl = "https://h/"\npriorities = { HIGH = "now" }',
            'worklist.webhook.priorities.HIGH is "now": write "stat"',
        ),
        ('[worklist.orders]\nhost = "0.0.0.0"', "worklist.orders: allow must name the senders' addresses"),
        ('[worklist.orders]\nallow = ["nobody"]', 'worklist.orders.allow.0 is "nobody": write an address'),
        ('[worklist.orders]\naccession = ["OBR18"]', 'worklist.orders.accession.0 is "OBR18": name a field of HL7'),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(tmp_path, text)
    assert says in str(error.value)
    assert str(tmp_path / "readfirst.toml") in str(error.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"node\.port is 0: .*; unknown key queue\.link"):
        read(tmp_path, '[node]\nport = 0\n[queue]\nlink = ""')


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("READFIRST_NOED__PORT", "1", "READFIRST_NOED__PORT is no setting: did you mean READFIRST_NODE__PORT?"),
        ("READFIRST_NODE__PROT", "1", "unknown key node.prot"),
        ("READFIRST_NODE__PORT", "x", 'node.port is "x": write a whole number'),
        ("READFIRST_WEB__HOST", "0.0.0.0", "web.token is required"),
        ("READFIRST_NODE_PORT", "1", "READFIRST_NODE_PORT is no setting: did you mean READFIRST_NODE__PORT?"),
        ("READFIRST_CONFIG", "a.toml", "READFIRST_CONFIG is no setting"),
        ("readfirst_debug", "1", "readfirst_debug is no setting"),
        ("READFIRST_MODELS__PACKAGES", "chest-ct", "READFIRST_MODELS__PACKAGES: write lists and tables as JSON, as in"),
        ("READFIRST_MODELS", "{", "READFIRST_MODELS: write lists and tables as JSON, as in"),
    ],
)
def test_the_environment_is_checked_as_the_file_is(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as error:
        load()
    assert says in str(error.value)
    assert "the environment" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no configuration file .*nowhere\.toml"):
        load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_loopback_no_token_is_needed(tmp_path: Path, host: str) -> None:
    assert read(tmp_path, f'[web]\nhost = "{host}"').web.token == ""
    assert read(tmp_path, f'[web]\nhost = "{host}"\ntoken = "t"').web.token == "t"


@pytest.mark.parametrize(
    "keys", ['token = "fifteen letters"', "", '[web.tokens.a]\ntoken = "short"\nrights = ["read"]']
)
def test_a_short_token_or_none_is_refused_off_loopback(tmp_path: Path, keys: str) -> None:
    with pytest.raises(ConfigurationError, match=r"web"):
        read(tmp_path, f'[web]\nhost = "0.0.0.0"\n{keys}')
    assert read(tmp_path, '[web]\nhost = "0.0.0.0"\ntoken = "sixteen letters!"').web.token


def test_a_node_that_nobody_configured_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"there is no configuration: write .*readfirst\.toml"):
        load(required=True)
    load()
    monkeypatch.setenv("READFIRST_NODE__PORT", "11113")
    assert load(required=True).node.port == 11113
    monkeypatch.delenv("READFIRST_NODE__PORT")
    (tmp_path / "readfirst.toml").write_text("")
    load(required=True)


def test_a_token_may_come_from_the_environment_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READFIRST_WORKLIST__WEBHOOK__TOKEN", "hush")
    settings = read(tmp_path, '[worklist]\nsinks = ["webhook"]\n[worklist.webhook]\nurl = "https://h/"')
    assert settings.worklist.webhook is not None
    assert settings.worklist.webhook.token.get_secret_value() == "hush"
    assert "hush" not in repr(settings)


def test_tables_of_sinks_may_stay_where_triage_is_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READFIRST_WORKLIST__SINKS", "[]")  # one switch, without taking the file apart
    settings = read(tmp_path, '[worklist]\nsinks = ["hl7"]\n[worklist.hl7]\nhost = "h"')
    assert (settings.worklist.sinks, settings.worklist.hl7 is not None) == ((), True)


LONG = "a token of many letters"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, []),
        ({"host": "0.0.0.0", "token": LONG}, ["without TLS"]),
        ({"public_url": "http://r.example", "token": LONG}, ["without TLS"]),
        ({"public_url": "https://r.example", "token": LONG}, []),
        ({"host": "0.0.0.0", "public_url": "https://r.example", "token": LONG}, []),
        ({"host": "0.0.0.0", "token": LONG, "tls": {"certificate": "c", "key": "k"}}, []),
        ({"host": "0.0.0.0", "token": LONG, "port": 0}, []),
        ({"token": "short"}, ["can be guessed"]),
    ],
)
def test_a_page_that_others_can_read_along_is_warned_of(keys: dict[str, object], says: list[str]) -> None:
    warnings = Web.model_validate(keys).warnings
    assert len(warnings) == len(says)
    assert all(word in warning for word, warning in zip(says, warnings, strict=True))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("READFIRST_TORCH", "cpu"),  # deploy/install
        ("READFIRST_SERVICE_HOST", "10.0.0.1"),  # what Kubernetes gives to containers beside a service `readfirst`
        ("READFIRST_SERVICE_PORT_DICOM", "104"),
        ("READFIRST_PORT", "tcp://10.0.0.1:104"),
        ("READFIRST_PORT_104_TCP", "tcp://10.0.0.1:104"),
        ("READFIRST_PORT_104_TCP_ADDR", "10.0.0.1"),
        ("READFIRST_NODE_PORT", "tcp://10.0.0.1:104"),
    ],
)
def test_variables_that_are_no_mistake_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert load().model_dump() == Settings().model_dump()


def test_a_whole_table_may_stand_in_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READFIRST_MODELS", '{"packages": ["chest-ct"]}')
    assert load(required=True).models.packages == ("chest-ct",)


@pytest.mark.parametrize(
    "text",
    [
        'web.token = ["hush-hush"]',
        'web.tokens = "hush-hush"',
        'web.tokens.reader = "hush-hush"',
        'web.tokens.reader = { token = "hush-hush", rights = ["read"] }',
        'web.tokens.reader = { token = ["hush-hush"], rights = ["read"] }',
        'web.tokne = "hush-hush"',
        '[web]\nhost = "0.0.0.0"\ntoken = "hush-hush"',
        'database = "postgresql+psycopg://u:hush-hush@h/d"',
        'database.url = ["postgresql+psycopg://u:hush-hush@h/d"]',
        'queue.url = { redis = "hush-hush" }',
        'worklist.webhook = "https://h/hush-hush"',
        'worklist.webhook.url = "http://u:hush-hush@h/"',
        'worklist.webhook = { url = "https://h/", token = "hush-hush", token_file = "f" }',
        'worklist.webhook = { url = "https://h/", token = ["hush-hush"] }',
    ],
)
def test_a_secret_is_never_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(tmp_path, text)
    assert "hush" not in str(error.value)


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(tmp_path, f'[results]\nlanguage = "{"x" * 500}"')
    assert len(str(error.value).partition("language")[2]) < 120
