"""RationalNumber: the nearest number that 16 bits and a power of ten can say."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso15118.messages.common_types import RationalNumber


def exact(number: RationalNumber) -> Fraction:
    return number.value * Fraction(10) ** number.exponent


@pytest.mark.parametrize(
    ("number", "exponent", "value"),
    [
        (0, 0, 0),
        (1, 0, 1),
        (22_000, 0, 22_000),
        (32_767, 0, 32_767),
        (32_768, 1, 3277),
        (350_000, 2, 3500),
        (-0.1, -1, -1),
        (3.7, -1, 37),
        (400.25, -1, 4002),
    ],
)
def test_known_numbers(number: float, exponent: int, value: int) -> None:
    assert RationalNumber.of(number) == RationalNumber(exponent=exponent, value=value)


@given(st.floats(min_value=-1e120, max_value=1e120, allow_nan=False))
def test_is_as_near_as_four_digits_allow(number: float) -> None:
    result = RationalNumber.of(number)
    assert -128 <= result.exponent <= 127
    assert -32768 <= result.value <= 32767
    half_step = Fraction(10) ** result.exponent / 2
    assert abs(exact(result) - Fraction(number)) <= half_step * Fraction(10001, 10000)
    if abs(number) > 1e-120:
        assert abs(exact(result) - Fraction(number)) <= abs(Fraction(number)) * Fraction(2, 10000)


@given(st.integers(-32768, 32767), st.integers(-128, 127))
def test_what_was_sent_is_read_back(value: int, exponent: int) -> None:
    number = RationalNumber(exponent=exponent, value=value)
    assert math.isclose(float(number), value * 10.0**exponent, rel_tol=1e-12)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 1e140])
def test_what_cannot_be_said_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r"is not a finite number|too large"):
        RationalNumber.of(number)
