"""A foreign program on the simulated line: pyslac's EVSE matches with our EV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import trio

pytest.importorskip("scapy")

from hlc_sim.powerline import netns
from hlc_sim.powerline.lab import powerline_lab
from hlc_sim.powerline.matching import ev_slac
from hlc_sim.powerline.simulated import Powerline
from iso15118.slac import EvSlacConfig

PYSLAC = ("pyslac==0.8.3", "marshmallow<4")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(netns.available() is not None, reason=str(netns.available())),
]


@pytest.fixture(scope="module")
def pyslac_python() -> Path:
    """The interpreter of a venv that holds pyslac, made on first use and kept."""
    cache = os.environ.get("HLC_INTEROP_CACHE") or Path.home() / ".cache" / "hlc-sim"
    home = Path(cache) / f"pyslac-0.8.3-python{sys.version_info.major}.{sys.version_info.minor}"
    python = home / "bin" / "python"
    if (
        subprocess.run([python, "-c", "import pyslac.session"], check=False).returncode
        if python.exists()
        else True
    ):
        venv.create(home, clear=True, with_pip=True)
        command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PYSLAC]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            if os.environ.get("HLC_INTEROP_REQUIRED"):
                pytest.fail(f"pyslac cannot be installed: {result.stderr}")
            pytest.skip("pyslac cannot be installed from the package registry")
    return python


@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("family", ["spec", "qca7000"])
async def test_pyslac_evse_matches_with_our_ev(pyslac_python, family, requests):
    powerline = Powerline(seed=5)
    powerline.add("ev", "qca7000", "EV")
    powerline.add("evse", family, "EVSE")
    script = Path(__file__).with_name("pyslac_evse.py")
    async with powerline_lab(powerline, prefix=f"i{os.getpid() % 10000}") as lab:
        command = [*lab.command("evse"), str(pyslac_python), str(script), "plc0"]
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            with trio.fail_after(40):
                lines = _lines(process.stdout)
                assert json.loads(await anext(lines)) == {"ready": True}
                config = EvSlacConfig(bytes(6), survey_requests=requests)
                async with ev_slac(lab.link("ev"), config=config) as car:
                    match = await car.matched()
                    theirs = json.loads(await anext(lines))
                    assert theirs == {
                        "nmk": match.nmk.hex(),
                        "nid": match.nid.hex(),
                        "run_id": match.run_id.hex(),
                    }
                    assert powerline.peers(powerline.modems["ev"]) == [powerline.modems["evse"]]
                    assert car.deviations == []
        finally:
            process.kill()
            await process.wait()


async def _lines(stream):
    buffer = b""
    async for data in stream:
        buffer += data
        while b"\n" in buffer:
            line, buffer = buffer.split(b"\n", 1)
            yield line
