"""Run Josev's SECC: a JSON line when it answers SDP requests, then one for each session."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from common import COMPLETE, EXIT_CODES, NO_SESSION, Observer, close, configure, emit, leave, parser

CONTROL_MODES = {"scheduled": 1, "dynamic": 2}  # values of the ControlMode parameter


def arguments() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument(
        "--protocols", default="ISO_15118_20_DC,ISO_15118_20_AC", help="Josev's names, comma between"
    )
    p.add_argument("--services", default="AC,DC", help="energy services to offer: AC, DC, AC_BPT, DC_BPT")
    p.add_argument(
        "--control-modes", default="scheduled,dynamic", help="parameter sets to offer, in this order"
    )
    p.add_argument("--auth", default="EIM", help="EIM, PNC or EIM,PNC")
    p.add_argument("--sessions", type=int, default=0, help="end after so many sessions (0: never)")
    return p.parse_args()


def make_controller(args: argparse.Namespace) -> Any:
    from iso15118.secc.controller.simulator import SimEVSEController, get_evse_context
    from iso15118.shared.messages.enums import ServiceV20
    from iso15118.shared.messages.iso15118_20.common_messages import ServiceParameterList

    services = {ServiceV20[name].id for name in args.services.split(",")}
    modes = [CONTROL_MODES[name] for name in args.control_modes.split(",")]

    class Controller(SimEVSEController):  # type: ignore[misc]
        def fresh(self) -> None:
            """Undo what the last session left: a DC session wipes the AC limits of the shared simulator."""
            self.evse_data_context = get_evse_context()
            self.reset_ev_data_context()

        async def get_energy_service_list(self) -> Any:
            offer = await super().get_energy_service_list()
            offer.services = [s for s in offer.services if s.service_id in services]
            return offer

        async def get_service_parameter_list(self, service_id: int) -> Any:
            sets = (await super().get_service_parameter_list(service_id)).parameter_sets

            def mode(parameter_set: Any) -> int:
                return next(int(p.int_value) for p in parameter_set.parameters if p.name == "ControlMode")

            return ServiceParameterList(parameter_sets=[s for m in modes for s in sets if mode(s) == m])

    return Controller()


async def serve(args: argparse.Namespace) -> int:
    from iso15118.secc import SECCHandler, comm_session_handler
    from iso15118.secc.secc_settings import Config

    config = Config()
    config.load_envs()
    observer, controller = Observer(args.trace), make_controller(args)
    outcomes: list[str] = []
    enough = asyncio.Event()

    class Session(comm_session_handler.SECCCommunicationSession):  # type: ignore[misc]
        def __init__(self, *a: Any, **k: Any) -> None:
            super().__init__(*a, **k)
            controller.fresh()
            observer.begin()

        async def stop(self, reason: str) -> None:  # Josev's waits 2 s and 3 s
            report = observer.report(self, reason, args.tls)
            await controller.stop_charger()
            await asyncio.sleep(args.pause)
            await close(self.writer)
            emit(report)
            outcomes.append(report["outcome"])
            if len(outcomes) == args.sessions:
                enough.set()

    comm_session_handler.SECCCommunicationSession = Session
    handler = SECCHandler(exi_codec=observer, evse_controller=controller, config=config)
    serving = asyncio.create_task(handler.start(args.iface))
    while not serving.done() and not (handler.udp_server and handler.udp_server.started):
        await asyncio.sleep(0.01)
    if not serving.done():
        emit({"ready": True, "iface": args.iface})
        await asyncio.wait({serving, asyncio.create_task(enough.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if not enough.is_set():
        emit(observer.no_session(f"the SECC ended: {serving.exception()!r}"))
        return EXIT_CODES[NO_SESSION]
    return max(EXIT_CODES[o] for o in outcomes) if outcomes else EXIT_CODES[COMPLETE]


if __name__ == "__main__":
    args = arguments()
    configure(
        args,
        PROTOCOLS=args.protocols,
        AUTH_MODES=args.auth,
        SECC_ENFORCE_TLS=str(args.tls != "none"),
        ALLOW_CERT_INSTALL_SERVICE="False",  # Josev offers it, and drops the connection when asked for it
    )
    leave(asyncio.run(serve(args)))
