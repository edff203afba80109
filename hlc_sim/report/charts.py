"""Charts as plotly figures in their JSON form; colours are names that the page's script fills in per
theme.
"""

from __future__ import annotations

from typing import Any

from .collect import Collected, Step
from .series import Series

# Names of CSS variables: the same thing has the same colour in every chart.
_COLOURS = {
    "EV present": "--ev",
    "EVSE present": "--evse",
    "PresentSOC": "--ev",
    "EV target": "--ev-2",
    "EVSE target": "--evse-2",
    "TargetSOC": "--limit",
    "MinimumSOC": "--limit",
    "EV limit": "--ev-limit",
    "EVSE limit": "--evse-limit",
    "EV discharge limit": "--ev-limit",
    "EVSE discharge limit": "--evse-limit",
    "EV profile": "--profile",
    "vehicle model": "--model",
    "charger model": "--model-2",
}
_DASHED = ("limit", "TargetSOC", "MinimumSOC")
_TITLES = {
    "soc": ("State of charge", "%"),
    "power": ("Power", "kW"),
    "voltage": ("Voltage", "V"),
    "current": ("Current", "A"),
    "price": ("Price", ""),
}
_SCALE = {"power": 0.001}


def figures(found: Collected) -> list[dict[str, Any]]:
    """One figure for each quantity there is, all over the seconds of the session, then the answer times."""
    span = max(found.end - found.start, 1.0)
    made = []
    for chart, (title, unit) in _TITLES.items():
        scale = _SCALE.get(chart, 1.0)
        # What a model knew lies beneath what the messages said of it.
        named = sorted(found.series.get(chart, {}).items(), key=lambda item: not item[0].endswith("model"))
        traces = [_curve(name, series, scale) for name, series in named]
        traces += [_step(step, scale, span) for step in found.steps.get(chart, [])]
        if traces:
            made.append(_figure(f"chart-{chart}", title, unit or found.currency, traces, span))
    times = [_times(timing.name, timing.points) for timing in found.timings.values() if timing.count]
    if times:
        figure = _figure("chart-times", "Answer times of the SECC", "s", times, span)
        figure["layout"]["yaxis"] |= {"type": "log", "dtick": 1}
        for limit in sorted({timing.limit for timing in found.timings.values() if timing.count}):
            figure["data"].append(_limit(limit, span))
        made.append(figure)
    return made


def _curve(name: str, series: Series, scale: float) -> dict[str, Any]:
    points = series.all()
    dashed = any(word in name for word in _DASHED)
    model = name.endswith("model")
    return {
        "type": "scatter",
        "mode": "lines" if len(points) > 1 else "markers",
        "name": name,
        "x": [round(time, 3) for time, _ in points],
        "y": [round(value * scale, 4) for _, value in points],
        "opacity": 0.35 if model else 1,
        "line": {
            "color": _COLOURS.get(name, "--model"),
            "width": 5 if model else 1.4 if dashed else 2,
            "dash": "dash" if dashed else "solid",
        },
        "marker": {"color": _COLOURS.get(name, "--model")},
    }


def _step(step: Step, scale: float, span: float) -> dict[str, Any]:
    """A schedule is shown as far as the session goes, with the step that holds at its beginning."""
    before = [point for point in step.points if point[0] <= 0]
    inside = [point for point in step.points if 0 < point[0] < span]
    points = [(0.0, before[-1][1])] if before else []
    points += inside
    if points and step.points[-1][0] >= span:
        points.append((span, points[-1][1]))
    colour = "--profile" if "profile" in step.name else "--schedule"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": step.name,
        "x": [round(time, 1) for time, _ in points],
        "y": [round(value * scale, 4) for _, value in points],
        "line": {
            "color": colour,
            "width": 1.5,
            "shape": "hv",
            "dash": "dot" if "profile" in step.name else "dashdot",
        },
    }


def _times(name: str, series: Series) -> dict[str, Any]:
    points = series.all()
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "showlegend": False,
        "x": [round(time, 3) for time, _ in points],
        "y": [max(round(took, 5), 1e-5) for _, took in points],
        "text": [name] * len(points),
        "hovertemplate": "%{text}: %{y:.3f} s<extra></extra>",
        "marker": {"size": 6, "color": "--evse" if "ChargeLoop" in name else "--ev", "opacity": 0.8},
    }


def _limit(limit: float, span: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"limit {limit:g} s",
        "x": [0, round(span, 1)],
        "y": [limit, limit],
        "hoverinfo": "name",
        "line": {"color": "--bad", "width": 1, "dash": "dash"},
    }


def _figure(
    identity: str, title: str, unit: str, traces: list[dict[str, Any]], span: float
) -> dict[str, Any]:
    return {
        "id": identity,
        "title": title,
        "data": traces,
        "layout": {
            "height": 280,
            "margin": {"l": 56, "r": 12, "t": 12, "b": 36},
            "hovermode": "x unified" if identity != "chart-times" else "closest",
            "showlegend": True,
            "legend": {"orientation": "h", "x": 0, "y": -0.18, "yanchor": "top"},
            "xaxis": {"ticksuffix": " s", "range": [0, round(span, 1)]},
            "yaxis": {"title": {"text": unit}, "rangemode": "tozero", "automargin": True},
        },
    }
