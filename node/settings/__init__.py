"""The settings: every table and key of `readfirst.toml`, read once, frozen, passed down."""

from node.settings.audit import Audit, Repository
from node.settings.commitment import Commitment
from node.settings.limits import Limits
from node.settings.sections import (
    LOOPBACK,
    AETitle,
    Charset,
    Database,
    Hl7Sink,
    Models,
    Node,
    Orders,
    Peer,
    Policy,
    Port,
    Queue,
    Results,
    Rule,
    Tls,
    UpsSink,
    Web,
    Webhook,
    WebTls,
    Worklist,
)
from node.settings.settings import DEFAULT_FILE, Settings, load

__all__ = [
    "DEFAULT_FILE",
    "LOOPBACK",
    "AETitle",
    "Audit",
    "Charset",
    "Commitment",
    "Database",
    "Hl7Sink",
    "Limits",
    "Models",
    "Node",
    "Orders",
    "Peer",
    "Policy",
    "Port",
    "Queue",
    "Repository",
    "Results",
    "Rule",
    "Settings",
    "Tls",
    "UpsSink",
    "Web",
    "WebTls",
    "Webhook",
    "Worklist",
    "load",
]
