"""The DICOM upper layer (PS3.8): the only user of pynetdicom's private parts.

Its version is pinned; look at a new one before its number is changed. tests/node/upperlayer/test_private_parts.py
compares this list with the code, and has a contract test of each part that the code relies on.

=======================  ======================  ==============================================  ======================
private part             file                    why                                             contract test
=======================  ======================  ==============================================  ======================
_config                  __init__                no values in logs, files are sent as they are   test_configuration
_servers                 acceptor                AE.shutdown ends the listeners in it            test_servers
_server                  acceptor                the listener closes the connection at the end   test_server
_accepted_cx             acceptor                accepted presentation contexts by ID            test_accepted_contexts
_serve_request           acceptor, requestor     work after a response; reports at any moment    test_serving
_decode_pdu              pdu, requestor          a PDU that was read elsewhere                   test_decoding
_kill_thread             pdu, streaming          a failed action must not end the layer          test_kill_thread
_is_transport_event      requestor, streaming    who reads the socket, and when                  test_reading
_read_pdu_data           streaming               PDUs are read without a pause                   test_reading
_recv_pdu                requestor, streaming    where the state machine expects a PDU           test_reading
_send                    streaming               an abort or a rejection is logged               test_sending
_idle_timer              requestor, streaming    what is read here is traffic, too               test_idle_timer
_reactor_checkpoint      requestor, streaming    pauses pynetdicom's loop of an association      test_pause
_is_paused               requestor               whether that loop stands still                  test_pause
=======================  ======================  ==============================================  ======================
"""

from pynetdicom import _config

_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False  # they may hold patient attributes
_config.LOG_HANDLER_LEVEL = "none"  # else every PDU and message is described for a log that nobody reads
_config.STORE_SEND_CHUNKED_DATASET = True  # files that pynetdicom itself sends are sent as they are, too
