"""SECC: what the site wants of the EV, as EVSEStatus with the time that is left to react."""

from __future__ import annotations

import math

from ..messages.common_types import EVSENotification, EVSEStatus, ResponseCode
from . import schedules
from .charger import SiteWish
from .secc_context import Context, Refusal
from .services import ControlMode

PAUSE_DELAY = 60.0
"""s; in dynamic mode [V2G20-1850], after Amendment 1 always [V2G20-3308]."""


def notification(ctx: Context, now: float) -> EVSEStatus | None:
    """EVSEStatus for this response. The deadline is set once; later responses tell what is left [V2G20-3318].

    Refuses (and so ends the session) when the EV has ignored Terminate for `terminate_grace`.
    """
    wish = ctx.charger.wish(now)
    if wish is None or not _allowed(ctx, wish, now):
        ctx.wish = None
        return None
    if ctx.wish is None or ctx.wish.notification != wish.notification:
        ctx.wish, ctx.wish_deadline = wish, now + _delay(ctx, wish)
    left = ctx.wish_deadline - now
    if wish.notification == EVSENotification.Terminate and left < -ctx.config.terminate_grace:
        raise Refusal(
            ResponseCode.FAILED,
            f"Terminate ignored for {-left:.0f} s",
            "PowerDeliveryReq(Stop)",
        )
    return EVSEStatus(notification_max_delay=max(0, math.ceil(left)), evse_notification=wish.notification)


def _delay(ctx: Context, wish: SiteWish) -> float:
    if wish.within is not None:
        return wish.within
    match wish.notification:
        case EVSENotification.Terminate:
            return 0.0
        case EVSENotification.Pause:
            dynamic = ctx.selected.control is ControlMode.DYNAMIC
            return PAUSE_DELAY if dynamic or ctx.config.pause_delay_always else 0.0
        case _:
            return ctx.config.notification_time


def _allowed(ctx: Context, wish: SiteWish, now: float) -> bool:
    """Whether the standard lets us say this now."""
    if wish.notification == EVSENotification.ServiceRenegotiation:
        return ctx.config.service_renegotiation
    if wish.notification == EVSENotification.Pause:
        if not ctx.config.pause:
            return False
        if ctx.config.strict and ctx.selected.scheduled:
            # Only while the applied power profile asks for nothing [V2G20-1198].
            return not any(schedules.power_at(ctx.profile, ctx.unix(now)) or (0.0,))
    return True
