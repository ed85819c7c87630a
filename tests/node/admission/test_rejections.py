from __future__ import annotations

from structlog.testing import capture_logs

from node.admission.rejections import RejectionLog


def test_the_log_does_not_grow_with_the_tries_and_says_how_many_it_left_out() -> None:
    now = [0.0]
    rejections = RejectionLog(lambda: now[0])
    with capture_logs() as logs:
        for _ in range(1000):
            rejections.warn("association rejected", address="192.0.2.1")
        assert len(logs) == 60
        now[0] = 61.0
        rejections.warn("association rejected", address="192.0.2.2")
    assert [(log["event"], log.get("count"), log.get("address")) for log in logs[60:]] == [
        ("rejections were left out of the log", 940, None),
        ("association rejected", None, "192.0.2.2"),
    ]
