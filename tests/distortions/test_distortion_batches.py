"""Distortions of batches: independent images, reproducible draws, any mixture, refusals."""

import pytest
import torch

from stn_lightning.distortions import (
    Compose,
    Distortion,
    MatrixDistortion,
    RandomPlacement,
    RandomRotation,
    RandomScale,
    recipe,
)

RTS = Compose([RandomRotation(45.0), RandomScale(), RandomPlacement(42)])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(5, 1, 28, 28, generator=generator(7))


class Fixed(MatrixDistortion):
    """The matrices of another, drawn once."""

    def __init__(self, matrices):
        super().__init__()
        self.matrices = matrices

    def extend(self, matrix, source, target, generator):
        return matrix @ self.matrices


class Invert(Distortion):
    """No matrix."""

    def distort(self, images, generator):
        return 1 - images


def test_batch_is_its_images_one_by_one(images):
    matrices = RandomRotation(80.0).extend(torch.eye(3).expand(5, -1, -1), (28, 28), (28, 28), generator())
    together = Fixed(matrices)(images)
    alone = torch.cat([Fixed(matrix[None])(image[None]) for image, matrix in zip(images, matrices, strict=True)])
    torch.testing.assert_close(together, alone, atol=2e-7 * 28, rtol=0)


def test_each_image_is_distorted_in_its_own_way():
    same = torch.rand(1, 1, 28, 28, generator=generator()).expand(4, -1, -1, -1)
    got = RTS(same, generator())
    assert len({image.numpy().tobytes() for image in got}) == 4


@pytest.mark.parametrize("distortion", [RandomRotation(), RandomScale(), RandomPlacement(), RTS, recipe("R"), recipe("RTS")])
def test_generator_decides_alone(distortion, images):
    torch.manual_seed(1)
    one = distortion(images, generator(5))
    torch.manual_seed(2)
    untouched = torch.get_rng_state()
    assert torch.equal(distortion(images, generator(5)), one)
    assert torch.equal(torch.get_rng_state(), untouched)
    assert not torch.equal(distortion(images, generator(6)), one)


def test_without_a_generator_torchs_own_decides(images):
    torch.manual_seed(1)
    one = RTS(images)
    assert not torch.equal(RTS(images), one)
    torch.manual_seed(1)
    assert torch.equal(RTS(images), one)


def test_channels_move_together(images):
    got = RTS(images.expand(-1, 3, -1, -1), generator())
    assert torch.equal(got[:, 0], got[:, 1])
    torch.testing.assert_close(got[:, :1], RTS(images, generator()), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("distortion", "size"),
    [
        (RandomRotation(), (13, 28)),
        (RandomScale(), (13, 28)),
        (RandomPlacement(30), (30, 30)),
        (Compose([RandomPlacement(30), RandomRotation(), RandomPlacement(18)]), (18, 18)),
        (Compose([Invert(), RandomPlacement(30), Invert()]), (30, 30)),
        (Compose([]), (13, 28)),
    ],
)
def test_output_size_is_told_beforehand(distortion, size):
    assert distortion.output_size((13, 28)) == size
    assert distortion(torch.rand(2, 1, 13, 28), generator()).shape == (2, 1, *size)


def test_what_is_no_matrix_parts_the_chain(images):
    mixed = Compose([RandomRotation(), Invert(), RandomScale()])
    random = generator(4)
    by_hand = RandomScale()(1 - RandomRotation()(images, random), random)
    assert torch.equal(mixed(images, generator(4)), by_hand)


def test_neighbours_are_sampled_once(images):
    """Twice by half a pixel each way blurs; once, there and back is the image itself."""
    there = torch.eye(3).repeat(5, 1, 1)
    there[:, 0, 2] = 0.5
    back = there.clone()
    back[:, 0, 2] = -0.5
    once = Compose([Fixed(there), Fixed(back)])(images)
    twice = Fixed(back)(Fixed(there)(images))
    torch.testing.assert_close(once, images, atol=1e-5, rtol=0)
    assert (twice - images).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_of_the_images_stays(images, dtype):
    got = RTS(images.to(dtype), generator())
    assert got.dtype == dtype
    if dtype == torch.bfloat16:  # of which only the values are rounded, not the coordinates
        torch.testing.assert_close(got.float(), RTS(images.to(dtype).float(), generator()), atol=0.004, rtol=0)


def test_empty_batch(images):
    assert RTS(images[:0], generator()).shape == (0, 1, 42, 42)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: RandomRotation(-1.0), r"degrees of at least 0, got -1\.0"),
        (lambda: RandomRotation(float("nan")), "degrees"),
        (lambda: RandomScale(0.0, 1.0), r"0 < low <= high, got low=0\.0"),
        (lambda: RandomScale(1.2, 0.7), "0 < low <= high"),
        (lambda: RandomPlacement(0), "size of at least 1 pixel, got 0"),
    ],
)
def test_arguments_out_of_range(build, text):
    with pytest.raises(ValueError, match=text):
        build()


def test_uint8_images_are_refused_by_name():
    with pytest.raises(ValueError, match="floating-point"):
        RTS(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), generator())
