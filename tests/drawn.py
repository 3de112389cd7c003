"""A drawing read back from its SVG: rectangles, and the points along its edges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"

Point = tuple[float, float]


@dataclass(frozen=True)
class Rect:
    name: str
    x: float
    y: float
    width: float
    height: float

    def holds(self, point: Point, slack: float = 0.6) -> bool:
        """Whether the point lies inside, further than `slack` from the rim."""
        inside_x = self.x + slack < point[0] < self.x + self.width - slack
        return inside_x and self.y + slack < point[1] < self.y + self.height - slack

    def overlaps(self, other: Rect) -> bool:
        apart = self.x + self.width <= other.x or other.x + other.width <= self.x
        return not apart and not (self.y + self.height <= other.y or other.y + other.height <= self.y)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own drawing


def nodes(root: ET.Element) -> list[Rect]:
    """Each target's rectangle; its name is the element's id."""
    found = []
    for element in root.iter():
        if "node" in element.get("class", "").split():
            x, y = (float(part) for part in _numbers(element.get("transform", "")))
            rect = next(child for child in element if child.tag == f"{SVG}rect")
            found.append(Rect(element.get("id", ""), x, y, float(rect.get("width", 0)), float(rect.get("height", 0))))
    return found


def frames(root: ET.Element) -> list[Rect]:
    return [
        Rect("", *(float(each.get(name, 0)) for name in ("x", "y", "width", "height")))
        for each in root.iter(f"{SVG}rect")
        if each.get("class") == "frame"
    ]


def edges(root: ET.Element) -> list[str]:
    """The paths of all edges."""
    group = next(each for each in root.iter(f"{SVG}g") if each.get("class") == "edges")
    return [each.get("d", "") for each in group]


def points(path: str, steps: int = 12) -> Iterator[Point]:
    """Along the path, curves in so many steps; of M, H, V, L, C and z in absolute coordinates."""
    here: Point = (0.0, 0.0)
    for letter, rest in re.findall(r"([MHVLCz])([^MHVLCz]*)", path):
        numbers = _numbers(rest)
        match letter:
            case "M":
                here = (numbers[0], numbers[1])
                yield here
            case "H" | "V" | "L":
                end = _end(letter, numbers, here)
                yield from _between(here, end, steps)
                here = end
            case "C":
                yield from _curve(here, numbers, steps)
                here = (numbers[4], numbers[5])
            case _:
                pass


def _end(letter: str, numbers: list[float], here: Point) -> Point:
    if letter == "H":
        return numbers[0], here[1]
    return (here[0], numbers[0]) if letter == "V" else (numbers[0], numbers[1])


def _between(start: Point, end: Point, steps: int) -> Iterator[Point]:
    for step in range(1, steps + 1):
        share = step / steps
        yield start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _curve(start: Point, numbers: list[float], steps: int) -> Iterator[Point]:
    controls = [start, (numbers[0], numbers[1]), (numbers[2], numbers[3]), (numbers[4], numbers[5])]
    for step in range(1, steps + 1):
        t = step / steps
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        yield (
            sum(weight * point[0] for weight, point in zip(weights, controls, strict=True)),
            sum(weight * point[1] for weight, point in zip(weights, controls, strict=True)),
        )


def _numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d*\.?\d+", text)]
