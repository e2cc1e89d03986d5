"""Backbones by their name on a hub, which a server on this machine is: downloaded, gated, absent, and out of reach."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub import hub
from ratecast.model.store import sha256

pytestmark = pytest.mark.slow
LOAD = """
import sys
from ratecast.config import BackboneConfig
from ratecast.errors import RatecastError
from ratecast.model.backbone import load_backbone
for name in sys.argv[1:]:
    try:
        print(load_backbone(BackboneConfig(backbone=name)).sha256)
    except RatecastError as error:
        print(error)
"""


def told(address: str, cache: Path, *names: str, offline: str = "0") -> list[str]:
    """The hash of each backbone's weights, or why there is none, from a process that has this hub."""
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(cache), "HF_HUB_OFFLINE": offline}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_DISABLE_XET": "1"}
    found = subprocess.run([sys.executable, "-c", LOAD, *names], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def test_a_backbone_is_downloaded_once_and_others_are_refused_in_a_line(tiny_backbone: Path, tmp_path: Path) -> None:
    names = ("owner/tiny", "owner/gated", "owner/absent")
    with hub({"owner/tiny": tiny_backbone}, gated=frozenset({"owner/gated"})) as address:
        loaded, gated, absent = told(address, tmp_path, *names)
    assert loaded == sha256(tiny_backbone / "model.safetensors")
    assert gated == "the backbone 'owner/gated' is gated on the hub: accept its terms there and log in"
    assert absent == "the backbone 'owner/absent' is neither a folder nor a model on the hub"
    (unreachable,) = told(address, tmp_path, "owner/other")  # the server is gone; the hub's library tries for 20 s
    assert unreachable == "the backbone 'owner/other' is not in the local cache, and the hub cannot be reached"
    again, offline = told(address, tmp_path, "owner/tiny", "owner/other", offline="1")
    assert again == loaded
    assert offline == "the backbone 'owner/other' is not in the local cache, and the hub may not be asked (HF_HUB_OFFLINE)"
