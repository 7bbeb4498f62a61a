"""Drawn birds, in CUB's layout."""

import numpy as np
import pytest
import torch
from PIL import Image

from stn_lightning.data import Birds
from stn_lightning.data._cub.reading import check_images, read_birds
from stn_lightning.data._drawn_birds import picture
from stn_lightning.data._drawn_birds.figure import PARTS, draw_figure
from stn_lightning.data._drawn_birds.generated import MOST_CLASSES, draw, generated_folder
from stn_lightning.data._drawn_birds.kinds import kinds

ARGUMENTS = (4, (3, 2), 48, 0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    draw(root, *ARGUMENTS)
    return root


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_layout_is_cub_s(root):
    birds = read_birds(generated_folder(root, *ARGUMENTS))
    check_images(birds)
    assert (len(birds.names), len(birds.class_names), tuple(birds.part_names)) == (20, 4, PARTS)
    assert np.bincount(birds.targets[birds.training]).tolist() == [3] * 4
    assert np.bincount(birds.targets[~birds.training]).tolist() == [2] * 4
    with Image.open(birds.folder / "images" / birds.names[0]) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (48, 48), "RGB")


def test_images_are_a_function_of_seed_class_and_number(root, tmp_path):
    draw(tmp_path, *ARGUMENTS)
    assert contents(generated_folder(tmp_path, *ARGUMENTS)) == contents(generated_folder(root, *ARGUMENTS))
    other = (4, (3, 2), 48, 1)
    draw(tmp_path, *other)
    assert contents(generated_folder(tmp_path, *other)) != contents(generated_folder(root, *ARGUMENTS))


def test_what_is_drawn_is_not_drawn_again(root, monkeypatch):
    monkeypatch.setattr(picture, "draw_figure", lambda *_: pytest.fail("drawn"))
    draw(root, *ARGUMENTS)


def test_litter_of_a_killed_drawing_is_removed(tmp_path):
    stale = tmp_path / "birds" / "0123.partial"
    stale.mkdir(parents=True)
    draw(tmp_path, 2, (1, 1), 32, 0)
    assert not stale.exists()


def test_kinds_differ_and_share_their_marks():
    for count in (2, 20, MOST_CLASSES):
        found = kinds(count)
        assert len(set(found)) == len({kind.name for kind in found}) == count
    assert len({kind[:2] for kind in kinds(20)}) == 5
    assert len({kind[2:] for kind in kinds(20)}) == 4


def test_all_of_a_bird_is_in_the_image_and_its_decisive_parts_in_any_crop():
    sides = set()
    for seed in range(200):
        figure = draw_figure(np.random.default_rng(seed), 100)
        left, top, right, bottom = figure.box()
        assert 0 < left < right < 100
        assert 0 < top < bottom < 100
        seen = figure.parts[figure.parts[:, 2] == 1, :2]
        assert (seen > (left - 1, top - 1)).all()
        assert (seen < (right + 1, bottom + 1)).all()
        for name in ("head", "breast"):
            assert (abs(figure.frames[name].centre - 50) <= 50 - 14 + 1e-9).all()
        visible = {part for part, row in zip(PARTS, figure.parts, strict=True) if row[2]}
        assert len(visible) == 13
        sides |= visible & {"left eye", "right eye"}
    assert len(sides) == 2


def test_kinds_of_one_pose_differ_in_their_marks_alone():
    """The same chance, another kind: pixels differ in the head, or in the breast, and there alone."""
    one, head, breast = kinds(25)[0], kinds(25)[1], kinds(25)[5]
    side = 96
    for seed in range(5):
        images, figures = zip(
            *(picture.draw_bird(kind, side, np.random.default_rng(seed)) for kind in (one, head, breast)), strict=True
        )
        pixels = [np.asarray(image, float) for image in images]
        y, x = np.mgrid[:side, :side] + 0.5
        for other, name in ((1, "head"), (2, "breast")):
            frame = figures[0].frames[name]
            reach = np.linalg.norm(frame.matrix, 2) + 1.5
            changed = abs(pixels[0] - pixels[other]).max(2) > 0
            distance = np.hypot(x - frame.centre[0], y - frame.centre[1])
            assert changed.any()
            assert (distance[changed] < reach).all()


def test_eye_is_where_it_is_said_to_be():
    """Its pupil is the darkest thing inside its pale ring."""
    for seed in range(5):
        image, figure = picture.draw_bird(kinds(6)[5], 320, np.random.default_rng(seed))
        x, y, _ = next(row for name, row in zip(PARTS, figure.parts, strict=True) if name.endswith("eye") and row[2])
        at = round(x - 0.5), round(y - 0.5)
        near = np.asarray(image.convert("L"), float)[at[1] - 2 : at[1] + 3, at[0] - 2 : at[0] + 3]
        weight = np.maximum(near.mean() - near, 0) ** 2
        across = np.arange(-2, 3)
        middle = np.array([(weight.sum(0) * across).sum(), (weight.sum(1) * across).sum()]) / weight.sum()
        assert np.hypot(*(middle + at + 0.5 - (x, y))) < 0.5


def test_birds_are_drawn_at_first_use(tmp_path):
    data = Birds(root=str(tmp_path), size=32, classes=3, images_per_class=(4, 2), batch_size=3, num_workers=0)
    with pytest.raises(FileNotFoundError, match="prepare_data draws them"):
        data.setup()
    data.prepare_data()
    data.setup()
    assert (data.num_classes, data.side, data.groups["head"]) == (3, 37, [1, 4, 5, 6, 9, 10, 14])
    (batch, *_) = data.train_dataloader()
    assert batch.image.shape == (3, 3, 32, 32)
    head = batch.parts[:, data.groups["head"]]
    assert (head[:, :, 2].sum(1) > 0).all()
    assert torch.isfinite(batch.box).all()
