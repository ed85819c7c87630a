from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.data_folder import held
from node.errors import ConfigurationError

HOLD = (
    "import sys, time; from pathlib import Path; from node.data_folder import held\n"
    "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


def test_a_second_node_on_one_data_folder_is_refused_until_the_first_is_gone_or_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(ConfigurationError, match="another ReadFirst node runs on the data folder"), held(tmp_path):
            pass
        first.send_signal(signal.SIGKILL)
    with held(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"node\.data"), held(tmp_path / "none"):
        pass
