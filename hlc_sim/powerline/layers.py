"""All scapy layers of the powerline, for any scapy user: ``from hlc_sim.powerline.layers import *``.

Loading this makes them the ones that dissect EtherType 0x88E1 and UDP port 15118.
"""

from __future__ import annotations

from . import layers_mme, layers_v2gtp, layers_vendor
from .layers_mme import *  # noqa: F403
from .layers_v2gtp import *  # noqa: F403
from .layers_vendor import *  # noqa: F403

__all__ = [*layers_mme.__all__, *layers_vendor.__all__, *layers_v2gtp.__all__]
