"""A reading workstation in a process of its own, of pynetdicom alone: it subscribes, and prints what it is told.

Arguments: our port, the node's port. One JSON line an event: when (seconds since 1970), Event Type ID, what was
told. It ends when it is killed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import UnifiedProcedureStepEvent, UnifiedProcedureStepPush, UnifiedProcedureStepWatch


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


def on_event(event: Any) -> tuple[int, None]:
    say(at=time.time(), type=event.event_type, told=event.event_information.to_json_dict())
    return 0x0000, None


def main(own: int, node: int) -> None:
    ae = AE("READER")
    ae.add_supported_context(UnifiedProcedureStepEvent, scu_role=True, scp_role=True)
    ae.start_server(("127.0.0.1", own), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_event)])
    ae.add_requested_context(UnifiedProcedureStepWatch)
    association = ae.associate("127.0.0.1", node, ae_title="READFIRST")
    wanted = Dataset()
    wanted.ReceivingAE, wanted.DeletionLock = "READER", "FALSE"
    everything = "1.2.840.10008.5.1.4.34.5"
    status, _ = association.send_n_action(
        wanted, 3, UnifiedProcedureStepPush, everything, meta_uid=UnifiedProcedureStepWatch
    )
    association.release()
    say(subscribed=status.Status)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
