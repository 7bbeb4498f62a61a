"""What a sick spatial transformer looks like: symptoms, their thresholds, and what helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isnan
from typing import NamedTuple

from stn_lightning.callbacks._health_reading import Reading

FAR = 3.0  # a window of twice the image's side, anywhere in it, has no point further from its place
MOSTLY_OUTSIDE = 0.5  # more padding than image; a square that is turned by 45 degrees has 0.17 outside
SMALL = 0.01  # a tenth of the image's side: some pixels
FLAT = 20.0  # of 28 pixels in one direction, one and a half in the other
FOLDED = 0.03  # splines that train well were seen to fold up to 0.01
SATURATED = 0.5
NO_GRADIENT = 1e-7  # lost beside the rounding of float32
BLIND = 1e-8  # any difference that float32 can hold is more
STILL = 0.01  # a seventh of a pixel of 28
ALIKE = 0.002
FEW_STEPS = 5  # at the start all thetas are the same; after one step of Adam or SGD they differ by more than BLIND
LEAST_WINDOW = 200
MOST_WINDOW = 10_000


class Course(NamedTuple):
    """How far the training of the localisation nets has come.

    Attributes:
        steps: optimizer steps since they train.
        total: optimizer steps of the whole run; infinite if unknown.
    """

    steps: int
    total: float

    @property
    def should_have_moved(self) -> bool:
        """Whether a tenth of the run is over, at least 200 steps: a one-cycle schedule has a quarter of its rate by then.

        10,000 steps are enough in any case: so a run without an end is judged too.
        """
        return self.steps >= max(LEAST_WINDOW, min(self.total / 10, MOST_WINDOW))


class Symptom(NamedTuple):
    """A symptom.

    Attributes:
        name: one word.
        collapse: whether what the transformer hands on is lost, so that training had better stop.
        found: whether a reading shows it.
        says: what is wrong, with fields of the reading.
        remedy: what to switch on.
    """

    name: str
    collapse: bool
    found: Callable[[Reading, Course], bool]
    says: str
    remedy: str


BOUNDED = "--model.localisation=bounded"
SLOWER = "a smaller --model.localisation_lr_scale or learning rate"
COLLAPSES = (
    Symptom(
        "diverged",
        True,
        lambda r, course: r.identity > FAR,
        "its points lie {identity:.3g} half sides of the image from their places (more than 3)",
        f"{SLOWER}, --trainer.gradient_clip_val=1, --model.theta_clip=3, {BOUNDED}",
    ),
    Symptom(
        "outside",
        True,
        lambda r, course: r.outside > MOSTLY_OUTSIDE,
        "{outside:.0%} of its points lie outside the image (more than 50%), where there is only padding",
        f"--model.penalties+=Outside, {BOUNDED}, {SLOWER}, --model.sampler=bilinear --model.sampler.padding_mode=background",
    ),
    Symptom(
        "shrunk",
        True,
        lambda r, course: r.area < SMALL,
        "its window has {area:.2g} of the image's area (less than 0.01)",
        f"--model.penalties+=Area, {BOUNDED}, --model.initial with a smaller window, {SLOWER}",
    ),
    Symptom(
        "flattened",
        True,
        lambda r, course: r.condition > FLAT,
        "its window is stretched {condition:.3g} times more in one direction than in the other (more than 20)",
        f"--model.transform=similarity, --model.penalties+=Identity, {BOUNDED}, {SLOWER}",
    ),
    Symptom(
        "folded",
        False,
        lambda r, course: r.folds > FOLDED,
        "{folds:.0%} of its window is turned over (more than 3%)",
        f"--model.penalties+=Area, {BOUNDED} with a small reach, {SLOWER}, fewer control points",
    ),
    Symptom(
        "saturated",
        False,
        lambda r, course: r.saturated > SATURATED,
        "{saturated:.0%} of its thetas are at the end of their range (more than 50%), where they learn no more",
        f"a larger --model.localisation.reach, {SLOWER}",
    ),
)
STANDSTILLS = (
    Symptom(
        "dead",
        False,
        lambda r, course: course.steps >= FEW_STEPS and (r.gradient < NO_GRADIENT or r.spread < BLIND),
        "it learns nothing from the images: {gradient:.1g} of the gradient is its own, spread over the batch {spread:.1g}",
        "a --model.localisation_lr_scale above 0, a smaller learning rate (dead ReLUs do not come back: start anew), another "
        "--model.localisation; where the window left the image, --model.penalties+=Outside",
    ),
    Symptom(
        "identity",
        False,
        lambda r, course: course.should_have_moved and r.moved < STILL,
        "it still warps as at the start (moved by {moved:.2g} half sides of the image, less than 0.01)",
        "a larger --model.localisation_lr_scale, --model.initial with a smaller window, --model.penalties+=Equivariance",
    ),
)
UNIFORM = Symptom(
    "uniform",
    False,
    lambda r, course: course.should_have_moved and r.spread < ALIKE,
    "it does the same to every image (spread {spread:.1g} half sides of the image, less than 0.002)",
    "--model.penalties+=Equivariance, a larger --model.localisation_lr_scale, a larger --model.localisation",
)


def symptoms(reading: Reading, course: Course) -> Iterator[Symptom]:
    """The symptoms that a reading shows.

    What is not a number shows nothing. Whether a transformer learns is asked where its localisation net is known and trains.
    """
    yield from (symptom for symptom in COLLAPSES if symptom.found(reading, course))
    if isnan(reading.gradient):
        return
    still = [symptom for symptom in STANDSTILLS if symptom.found(reading, course)]
    yield from still
    if not still and UNIFORM.found(reading, course):
        yield UNIFORM
