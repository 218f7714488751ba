"""Conversions that are mistaken for one another: new value = factor x old value + offset."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """One conversion. `example`: its most likely meaning; `sign`: how it is written."""

    factor: float
    offset: float
    sign: str
    example: str


def _both(factor: float, there: str, back: str, number: str = "") -> tuple[Unit, Unit]:
    number = number or f"{factor:g}"
    return Unit(factor, 0.0, f"x {number}", there), Unit(1.0 / factor, 0.0, f"/ {number}", back)


UNITS: tuple[Unit, ...] = (
    *_both(1000.0, "thousands as ones, seconds as milliseconds", "ones as thousands, milliseconds as seconds"),
    *_both(100.0, "shares as percent, a currency in its cents", "percent as shares, cents as the currency"),
    *_both(12.0, "a year instead of a month, feet as inches", "a month instead of a year, inches as feet"),
    *_both(60.0, "minutes as seconds, hours as minutes", "seconds as minutes, minutes as hours"),
    *_both(3600.0, "hours as seconds", "seconds as hours"),
    *_both(24.0, "days as hours", "hours as days"),
    *_both(7.0, "weeks as days", "days as weeks"),
    *_both(1.609344, "miles as kilometres", "kilometres as miles", "1.609"),
    *_both(2.54, "inches as centimetres", "centimetres as inches"),
    *_both(3.28084, "metres as feet", "feet as metres", "3.281"),
    *_both(2.20462, "kilograms as pounds", "pounds as kilograms", "2.205"),
    *_both(10.0, "a decimal place", "a decimal place"),
    *_both(1e6, "millions as ones, seconds as microseconds", "ones as millions, microseconds as seconds", "1,000,000"),
    Unit(1.8, 32.0, "x 1.8 + 32", "Celsius as Fahrenheit"),
    Unit(1 / 1.8, -32 / 1.8, "(value - 32) / 1.8", "Fahrenheit as Celsius"),
    Unit(1.0, 273.15, "+ 273.15", "Celsius as Kelvin"),
    Unit(1.0, -273.15, "- 273.15", "Kelvin as Celsius"),
    Unit(-1.0, 0.0, "x -1", "the sign"),
)  # fmt: skip
