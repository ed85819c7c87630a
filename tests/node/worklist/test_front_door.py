from __future__ import annotations

import subprocess
import sys

import node.worklist


def test_the_names_that_others_may_use():
    public = {name for name, value in vars(node.worklist).items() if name in node.worklist.__all__}
    assert public == set(node.worklist.__all__)
    assert node.worklist.__all__ == sorted(node.worklist.__all__)


def test_policy_and_items_need_no_network_library():
    code = "import sys, node.worklist; sys.exit('pynetdicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
