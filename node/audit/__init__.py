"""Audit messages of PS3.15 A.5: what was done here with studies, by whom, and who was not let in.

`Recorder` makes them and puts them into the ledger's spool; couriers take them to the sinks of `[audit]`.
"""

from node.audit.courier import Sink, make_sinks, recording
from node.audit.recorder import Recorder
from node.audit.spool import waiting

__all__ = ["Recorder", "Sink", "make_sinks", "recording", "waiting"]
