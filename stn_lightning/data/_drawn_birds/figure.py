"""The figure of a bird: body, head, beak, tail, wing and legs in any pose, and where its parts are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.floating[Any]]
PARTS = (
    "back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg", "left wing", "nape", "right eye",
    "right leg", "right wing", "tail", "throat",
)  # fmt: skip
CIRCLE = np.stack(
    [np.cos(np.linspace(0, 2 * np.pi, 48, endpoint=False)), np.sin(np.linspace(0, 2 * np.pi, 48, endpoint=False))], 1
)


class Frame(NamedTuple):
    """A disc's affine image: ``centre + matrix @ (u, v)``, with u forwards and v down in the bird."""

    centre: Points
    matrix: Points

    def at(self, uv: ArrayLike) -> Points:
        """Points (..., 2) of the disc in the image."""
        return np.asarray(self.centre + np.asarray(uv) @ self.matrix.T)


class Figure(NamedTuple):
    """A bird in a pose.

    Attributes:
        frames: discs ``body``, ``head``, ``wing``, ``breast`` and ``eye``.
        shapes: polygons (N, 2) ``tail``, ``beak``, ``leg 0`` and ``leg 1`` (lines).
        parts: (15, 3) x, y and whether visible, in the order of ``PARTS``, which are CUB's.
    """

    frames: dict[str, Frame]
    shapes: dict[str, Points]
    parts: Points

    def box(self) -> Points:
        """(left, top, right, bottom) around all of it but the thickness of the legs."""
        outlines = [frame.at(CIRCLE) for name, frame in self.frames.items() if name not in ("breast", "eye")]
        points = np.concatenate([*outlines, *self.shapes.values()])
        return np.concatenate([points.min(0), points.max(0)])


def draw_figure(draw: np.random.Generator, side: float) -> Figure:
    """A bird in a pose by chance, at a place by chance where all of it is in a square image.

    Head and breast are at least 14 % of the side from its edges, where no usual crop loses them.
    """
    right = draw.random() < 0.5
    unit = draw.uniform(0.27, 0.4) * side
    mirror = np.diag([1.0 if right else -1.0, 1.0])
    figure = _posed(unit * mirror @ _turn(draw.uniform(-35, 25)), right, draw)
    box, key = figure.box(), np.stack([figure.frames["head"].centre, figure.frames["breast"].centre])
    low = np.maximum(0.02 * side - box[:2], 0.14 * side - key.min(0))
    high = np.minimum(0.98 * side - box[2:], 0.86 * side - key.max(0))
    shift = low + (high - low) * draw.random(2)
    frames = {name: Frame(frame.centre + shift, frame.matrix) for name, frame in figure.frames.items()}
    shapes = {name: shape + shift for name, shape in figure.shapes.items()}
    return Figure(frames, shapes, figure.parts + np.append(shift, 0))


def _turn(degrees: float) -> Points:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _posed(world: Points, right: bool, draw: np.random.Generator) -> Figure:
    def frame(centre: Points, turned: Points, axes: tuple[float, float]) -> Frame:
        return Frame(world @ centre, world @ turned @ np.diag(axes))

    neck = _turn(-draw.uniform(5, 75)) @ (draw.uniform(0.2, 0.3), 0)
    nod, radius = _turn(draw.uniform(-30, 45)), 0.17
    head = frame(np.array([0.4, -0.1]) + neck, nod, (radius, radius))
    body = frame(np.zeros(2), _turn(0), (0.5, draw.uniform(0.25, 0.3)))
    breast = frame(np.array([0.25, 0.06]), _turn(draw.uniform(-10, 10)), (0.17, 0.17))
    lift = _turn(draw.uniform(-8, 22))
    wing = frame(np.array([0.08, -0.08]) + lift @ (-0.34, 0), lift, (0.34, 0.15))
    eye = Frame(head.at((0.3, -0.2)), head.matrix * 0.17)

    tail = _turn(draw.uniform(-25, 25))
    length, spread = draw.uniform(0.4, 0.65), draw.uniform(0.05, 0.12)
    fan = np.array([(0, -0.07), (-length, -spread), (-length * 0.95, 0), (-length, spread), (0, 0.07)])
    gape = draw.uniform(0, 0.3)
    beak = np.array([(0.75, -0.4), (draw.uniform(1.7, 2.3), 0.1 - gape), (1.2, 0.1), (1.9, 0.1 + gape), (0.75, 0.4)])
    shapes = {"tail": np.array([-0.42, 0.0]) + fan @ tail.T, "beak": beak}
    for leg, x in enumerate((-0.06, 0.1)):
        knee = np.array([x, 0.2]) + _turn(draw.uniform(-25, 25)) @ (0, 0.16)
        shapes[f"leg {leg}"] = np.array([(x, 0.2), knee, knee + _turn(draw.uniform(-30, 30)) @ (0, 0.16)])
    shapes = {name: head.at(shape) if name == "beak" else shape @ world.T for name, shape in shapes.items()}

    near, far = ("right", "left") if right else ("left", "right")
    of = {
        "back": body.at((-0.1, -0.85)),
        "beak": head.at((1.2, 0.05)),
        "belly": body.at((0, 0.85)),
        "breast": breast.centre,
        "crown": head.at((0, -0.85)),
        "forehead": head.at((0.65, -0.5)),
        "nape": head.at((-0.8, -0.1)),
        "throat": head.at((0.35, 0.8)),
        "tail": shapes["tail"].mean(0),
        f"{near} eye": eye.centre,
        f"{near} wing": wing.centre,
        f"{near} leg": shapes["leg 0"][1],
        f"{far} leg": shapes["leg 1"][1],
    }
    hidden = np.zeros(3)
    return Figure(
        {"body": body, "head": head, "wing": wing, "breast": breast, "eye": eye},
        shapes,
        np.stack([np.append(of[part], 1) if part in of else hidden for part in PARTS]),
    )
