"""What whoever brings a charger or a vehicle of his own has to write."""

from __future__ import annotations

import ast
import inspect

import pytest

from iso15118.session.charger import Charger
from iso15118.session.vehicle import Vehicle


@pytest.mark.parametrize("interface", [Charger, Vehicle])
def test_what_need_not_be_written_has_a_body(interface: type) -> None:
    """Else a type checker takes the method for abstract, and refuses a class without it."""
    (declared,) = ast.parse(inspect.getsource(interface)).body
    assert isinstance(declared, ast.ClassDef)
    bodiless = {
        item.name
        for item in declared.body
        if isinstance(item, ast.FunctionDef) and all(isinstance(line, ast.Expr) for line in item.body)
    }
    assert bodiless == interface.__abstractmethods__  # type: ignore[attr-defined]
