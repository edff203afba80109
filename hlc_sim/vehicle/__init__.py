"""A simulated vehicle: battery, on-board charger and driver behind `iso15118.session.vehicle.Vehicle`."""

from .battery import Battery
from .simulated import Driver, OnBoardCharger, SimulatedVehicle

__all__ = ["Battery", "Driver", "OnBoardCharger", "SimulatedVehicle"]
