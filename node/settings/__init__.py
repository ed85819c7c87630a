"""The settings: every table and key of `readfirst.toml`, read once, frozen, passed down."""

from node.settings.audit import Audit, Repository
from node.settings.base import LOOPBACK, AETitle, Charset, Port, Tls
from node.settings.commitment import Commitment
from node.settings.mistakes import did_you_mean
from node.settings.models import Models
from node.settings.node import Limits, Node
from node.settings.orders import Orders, Reports
from node.settings.peers import Peer
from node.settings.policy import Policy, PolicyRule
from node.settings.results import Results
from node.settings.settings import DEFAULT_FILE, Settings, load
from node.settings.storage import Database, Queue, Retention
from node.settings.web import ALL_RIGHTS, Web, WebRight, WebTls, WebToken
from node.settings.worklist import Hl7Sink, UpsSink, Webhook, Worklist

__all__ = [
    "ALL_RIGHTS",
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
    "PolicyRule",
    "Port",
    "Queue",
    "Reports",
    "Repository",
    "Results",
    "Retention",
    "Settings",
    "Tls",
    "UpsSink",
    "Web",
    "WebRight",
    "WebTls",
    "WebToken",
    "Webhook",
    "Worklist",
    "did_you_mean",
    "load",
]
