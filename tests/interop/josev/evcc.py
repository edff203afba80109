"""Run Josev's EVCC for one session, or for one after the other: a JSON line with what became of each."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from common import EXIT_CODES, Observer, close, configure, emit, leave, parser

CONTROL_MODES = {"scheduled": 1, "dynamic": 2}  # values of the ControlMode parameter


def arguments(words: Sequence[str]) -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument("--service", default="DC", type=str.upper, choices=["AC", "DC", "AC_BPT", "DC_BPT"])
    p.add_argument("--control-mode", default="scheduled", choices=list(CONTROL_MODES))
    p.add_argument("--loops", type=int, default=5, help="exact number of charge loop requests")
    p.add_argument(
        "--ongoing", type=int, default=0, help="PowerDeliveryReq(Ongoing) before PowerDeliveryReq(Start)"
    )
    p.add_argument("--voltage", type=int, default=20_000, help="present and target voltage of the EV, in V")
    p.add_argument(
        "--precharge-fix",
        action="store_true",
        help="always send DC_PreChargeReq(Finished); Josev skips it when the voltage comes late",
    )
    p.add_argument("--patience", type=float, default=0.0, help="seconds more for each response")
    p.add_argument("--timeout", type=float, default=60.0, help="give up after so many seconds")
    p.add_argument(
        "--repeat",
        action="store_true",
        help="a session for each line on stdin, which holds options of its own; the codec stays warm",
    )
    return p.parse_args(words)


def make_controller(args: argparse.Namespace, config: Any) -> Any:
    from iso15118.evcc.controller import simulator
    from iso15118.shared.messages.iso15118_20.common_messages import SelectedEnergyService
    from iso15118.shared.messages.iso15118_20.common_types import RationalNumber

    class Coin:
        """Stands in for `random`, of which Josev's EV asks one bit: whether its power profile is ready.

        With DC it asks once too often, after ScheduleExchangeRes, and does not use the answer.
        """

        tosses = -1 if args.service.startswith("DC") else 0

        def getrandbits(self, _bits: int) -> int:
            self.tosses += 1
            return int(self.tosses == 0 or self.tosses > args.ongoing)

    class Controller(simulator.SimEVController):  # type: ignore[misc,name-defined]
        loops = 1  # the first charge loop request is sent without asking

        async def continue_charging(self) -> bool:
            self.loops += 1
            self._soc = min(100, 10 + 90 * self.loops // args.loops)
            return self.loops <= args.loops

        async def is_charging_complete(self) -> bool:
            return self.loops >= args.loops

        async def get_present_voltage(self) -> Any:
            return RationalNumber(exponent=0, value=args.voltage)

        get_target_voltage = get_present_voltage

        async def select_energy_service_v20(self, services: list[Any]) -> Any:
            wanted = CONTROL_MODES[args.control_mode]
            for service in services:
                for offered in service.parameter_sets:
                    if any(p.name == "ControlMode" and p.int_value == wanted for p in offered.parameters):
                        return SelectedEnergyService(
                            service=service.service, is_free=service.is_free, parameter_set=offered
                        )
            raise ValueError(f"the SECC offers no parameter set with ControlMode {wanted}")

    simulator.random = Coin()
    return Controller(config)


def fix_precharge() -> None:
    """Leave pre-charge only after a request with EVProcessing Finished."""
    from iso15118.evcc.states import iso15118_20_states as states
    from iso15118.shared.messages.iso15118_20.common_types import Processing

    class DCPreCharge(states.DCPreCharge):  # type: ignore[misc,name-defined]
        async def process_message(self, *a: Any, **k: Any) -> None:
            sent = getattr(self.message, "ev_processing", None)
            self.pre_charge_finished_message_built_once = sent == Processing.FINISHED
            await super().process_message(*a, **k)

    states.DCPreCharge = DCPreCharge


async def charge(args: argparse.Namespace, observer: Observer) -> dict[str, Any]:
    from iso15118.evcc import EVCCHandler, comm_session_handler
    from iso15118.evcc.evcc_config import EVCCConfig
    from iso15118.evcc.evcc_settings import Config
    from iso15118.shared.exceptions import SDPFailedError

    Config().load_envs()
    config = EVCCConfig(
        supportedProtocols=[f"ISO_15118_20_{args.service[:2]}"],
        supportedEnergyServices=[args.service],
        useTls=args.tls != "none",
        enforceTls=args.tls != "none",
        sdpRetryCycles=1,
    )
    config.load_raw_values()
    result: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def settle(report: dict[str, Any]) -> None:
        if not result.done():  # Josev starts over after a failed session; the first one counts
            result.set_result(report)

    class Session(comm_session_handler.EVCCCommunicationSession):  # type: ignore[misc]
        def __init__(self, *a: Any, **k: Any) -> None:
            super().__init__(*a, **k)
            observer.begin()

        async def send(self, message: Any) -> None:
            await super().send(message)
            self.current_state.next_msg_timeout += args.patience

        async def stop(self, reason: str) -> None:  # Josev's waits 2 s and 3 s
            report = observer.report(self, reason, args.tls)
            await asyncio.sleep(args.pause)
            await close(self.writer)
            settle(report)

    class Handler(EVCCHandler):  # type: ignore[misc]
        """Josev's handler waits for ever once discovery or the connection has failed."""

        async def restart_sdp(self, new_sdp_cycle: bool) -> None:
            try:
                await super().restart_sdp(new_sdp_cycle)
            except SDPFailedError as exc:
                settle(observer.no_session(str(exc)))
                raise

        async def start_comm_session(self, host: Any, port: int, is_tls: bool) -> None:
            await super().start_comm_session(host, port, is_tls)
            if self.comm_session[1] is None:
                settle(observer.no_session(f"no connection to [{host}]:{port}, tls={is_tls}"))

    comm_session_handler.EVCCCommunicationSession = Session
    handler = Handler(
        evcc_config=config, iface=args.iface, exi_codec=observer, ev_controller=make_controller(args, config)
    )
    running = asyncio.create_task(handler.start())
    await asyncio.wait({running, result}, timeout=args.timeout, return_when=asyncio.FIRST_COMPLETED)
    if result.done():
        return result.result()
    ended = f"the EVCC ended: {running.exception()!r}" if running.done() else f"no end after {args.timeout} s"
    return observer.no_session(ended)


if __name__ == "__main__":
    args = arguments(sys.argv[1:])
    configure(args)
    if args.precharge_fix:
        fix_precharge()
    observer = Observer(args.trace)
    if args.repeat:
        emit({"ready": True, "iface": args.iface})
        for line in sys.stdin:
            emit(asyncio.run(charge(arguments(sys.argv[1:] + shlex.split(line)), observer)))
        leave(0)
    report = asyncio.run(charge(args, observer))
    emit(report)
    leave(EXIT_CODES[report["outcome"]])
