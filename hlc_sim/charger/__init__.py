"""A simulated charging station: outlets with power stage, contactor and meter, and the site that they share.

`SimulatedCharger` is one outlet behind `iso15118.session.charger.Charger`.
"""

from .meter import Meter
from .power_stage import Contactor, IsolationMonitor, PowerStage
from .simulated import Outlet, SimulatedCharger
from .site import Site

__all__ = ["Contactor", "IsolationMonitor", "Meter", "Outlet", "PowerStage", "SimulatedCharger", "Site"]
