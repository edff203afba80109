"""Run pyslac's EVSE on an interface: one key, one matching. For pyslac's own Python; imports nothing of ours.

Prints one JSON line with its NMK, NID and RunID once it believes itself matched.
"""

import asyncio
import json
import logging
import sys

import pyslac.session as session
from pyslac.environment import Config


async def main(interface):
    session.SLAC_SETTLE_TIME = 1  # seconds for the modem after a new key; 10 is meant for a real one
    evse = session.SlacEvseSession("DE*HLC*E1", interface, Config(slac_init_timeout=50, log_level="INFO"))
    await evse.evse_set_key()
    print(json.dumps({"ready": True}), flush=True)
    await evse.evse_slac_parm()
    await evse.atten_charac_routine()
    print(json.dumps({"nmk": evse.nmk.hex(), "nid": evse.nid.hex(), "run_id": evse.run_id.hex()}), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main(sys.argv[1]))
