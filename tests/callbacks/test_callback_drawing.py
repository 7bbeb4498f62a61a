"""Captions that fit their cells, and legends that fit their pictures."""

import pytest
import torch

from stn_lightning.callbacks import captions
from stn_lightning.callbacks._drawing import to_the_edges
from stn_lightning.callbacks._text import fitted, legend
from stn_lightning.geometry import regular_points

SIDE, GAP = 84, 4


def ink(picture):
    """First and last column with ink, or None."""
    columns = (picture != 255).any(0).any(0).nonzero().flatten()
    return (int(columns[0]), int(columns[-1])) if len(columns) else None


@pytest.mark.parametrize(
    "text", ["7", "1234>123", "12345>12345", "00000>88888", "a caption much too long for a cell", "two\nlines", "W" * 300]
)
@pytest.mark.parametrize("side", [28, 84, 216])
def test_a_caption_stays_in_its_cell(text, side):
    first, last = ink(captions([text], side))
    assert first >= GAP / 2 - 1
    assert last <= side + GAP / 2 + 1


def test_captions_keep_their_descenders():
    """A line of g, p, y has ink below that of a, c, e, and white below all."""

    def last_row(text):
        return int((captions([text], 84) != 255).any(0).any(1).nonzero()[-1])

    assert last_row("gpy") > last_row("ace")
    assert last_row("gpy") < captions(["gpy"], 84).shape[1] - 1


def test_numbers_of_five_digits_are_whole_and_legible():
    """In a cell where they must shrink: digits of at least 7 pixels."""
    assert fitted("00000>88888", 72, 12.6)[0] == "00000>88888"
    picture = captions(["00000>88888"], 72)
    rows = (picture[0] < 128).any(1).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 >= 7


def test_captions_stand_over_their_own_cells():
    both = captions(["12345>12345", "1>2"], SIDE)
    for i, text in enumerate(["12345>12345", "1>2"]):
        assert torch.equal(both[:, :, i * (SIDE + GAP) : (i + 1) * (SIDE + GAP)], captions([text], SIDE))


def test_no_text_and_odd_characters_are_no_error():
    assert ink(captions([""], SIDE)) is None
    assert ink(captions(["\udcff\u95e8\t"], SIDE)) is not None


@pytest.mark.parametrize(("width", "lines"), [(704, 1), (176, 2), (88, 4)])
def test_a_legend_takes_the_lines_that_it_needs(width, lines):
    colours = {"input": (0, 190, 255), "conv1": (255, 215, 0), "conv2": (90, 220, 90), "conv3": (255, 80, 40)}
    picture = legend(colours, width)
    assert picture.shape == (3, lines * 14, width)
    for colour in colours.values():
        assert (picture == torch.tensor(colour)[:, None, None]).all(0).any()


def test_outline_runs_round_the_pixels():
    """The regular grid of a map of any size is outlined at the edges of the image."""
    for size in ((3, 5), (13, 13), (1, 4), (2, 1)):
        grid = to_the_edges(regular_points(size).view(*size, 2))
        for axis, n in ((0, size[1]), (1, size[0])):
            ends = [0.0, 0.0] if n == 1 else [-1.0, 1.0]
            assert [float(grid[..., axis].min()), float(grid[..., axis].max())] == pytest.approx(ends, abs=1e-6)
