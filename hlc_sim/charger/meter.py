"""The outlet's energy meter: separate registers for charge and discharge of one service session."""

from __future__ import annotations

from dataclasses import dataclass, field

from iso15118.session.values import MeterReading


@dataclass(slots=True)
class Meter:
    """An energy meter with a register for each direction."""

    meter_id: str = "HLC-SIM-METER-1"
    charged: float = field(default=0.0, init=False)
    """Wh into the vehicle."""
    discharged: float = field(default=0.0, init=False)
    """Wh out of the vehicle."""

    def record(self, power: float, seconds: float) -> None:
        """`power` in W, positive into the vehicle."""
        energy = power * seconds / 3600
        if energy >= 0:
            self.charged += energy
        else:
            self.discharged -= energy

    def reset(self) -> None:
        """A new service session begins [V2G20-902]."""
        self.charged = self.discharged = 0.0

    def reading(self, *, bidirectional: bool, timestamp: int | None) -> MeterReading:
        return MeterReading(
            self.meter_id,
            charged_wh=self.charged,
            discharged_wh=self.discharged if bidirectional else None,
            timestamp=timestamp,
        )
