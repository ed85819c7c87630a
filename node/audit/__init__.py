"""Audit messages of PS3.15 A.5: what was done here with studies, by whom, and who was rejected.

`Recorder` makes them and puts them into the ledger; senders send them to the sinks of `[audit]`.
"""

from node.audit.recorder import Recorder
from node.audit.sender import Sink, make_sinks, recording, waiting

__all__ = ["Recorder", "Sink", "make_sinks", "recording", "waiting"]
