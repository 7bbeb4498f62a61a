"""``Equivariance``: theta(T_b x) is theta(x) composed with b, in the direction that shows the same."""

import cv2
import numpy as np
import pytest
import torch

from stn_lightning.networks import Output
from stn_lightning.penalties import Equivariance
from stn_lightning.penalties._equivariance import mapped, squared_distance
from stn_lightning.spatial_transformer import Warped
from stn_lightning.transforms import Affine, Projective, Similarity

SIDE = 65
DISC = 0.3  # of three discs: one large at a centre, one a little to its right, one below


def scene(where, size=(SIDE, SIDE), align_corners=False):
    """Three discs of brightness 1, 2 and 3, placed by a similarity theta (a, b, tx, ty), smooth."""
    from stn_lightning.geometry import regular_points

    points = regular_points(size, align_corners).view(*size, 2)
    image = torch.zeros(len(where), 1, *size, dtype=torch.float64)
    centres = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.6]], dtype=torch.float64)
    for brightness, places in enumerate(Similarity().points(where, centres).unbind(1), 1):
        distance = (points - places[:, None, None]).square().sum(-1)
        image[:, 0] += brightness * torch.exp(-distance / (2 * 0.1**2))
    return image


def located(images, align_corners=False):
    """The similarity that an outside program finds: OpenCV's, from the brightest peaks."""
    found = []
    for image in images[:, 0].detach().float().numpy():
        rest, peaks = image.copy(), []
        for _ in range(3):
            _, _, _, (column, row) = cv2.minMaxLoc(rest)
            peaks.append((column, row))
            cv2.circle(rest, (column, row), int(0.15 * SIDE), 0.0, -1)
        span = SIDE - 1 if align_corners else SIDE
        shift = 0 if align_corners else 1
        source = np.array([[0.0, 0.6], [0.5, 0.0], [0.0, 0.0]], np.float32)
        target = ((2 * np.array(peaks, np.float32) + shift) / span - 1).astype(np.float32)
        matrix, _ = cv2.estimateAffinePartial2D(source, target)
        found.append([matrix[0, 0], matrix[1, 0], matrix[0, 2], matrix[1, 2]])
    return torch.tensor(found, dtype=torch.float64)


class Follows:
    """A network whose transformer finds the scene, wherever it is, or one that is made wrong."""

    def __init__(self, align_corners=False, change=lambda theta: theta):
        self.align_corners, self.change, self.calls = align_corners, change, 0

    def __call__(self, images):
        self.calls += 1
        theta = located(images, self.align_corners)
        if self.calls > 1:
            theta = self.change(theta)
        grid = Similarity().grid(theta, (8, 8), self.align_corners)
        return Output(torch.zeros(len(images), 2), {"input": Warped(images, theta, grid)})


def cost(network, images, **options):
    return float(Equivariance(align_corners=network.align_corners, **options)(network(images), images, network))


PLACES = torch.tensor([[0.5, 0.0, 0.0, 0.0], [0.4, 0.2, 0.1, -0.1], [0.45, -0.1, -0.2, 0.1]], dtype=torch.float64)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    "b", [{"degrees": 30.0, "scale": 1.0, "shift": 0.0}, {"degrees": 0.0, "scale": 1.0, "shift": 0.2}, {}], ids=str
)
def test_transformer_that_finds_its_object_costs_next_to_nothing(b, align_corners):
    """Peaks are found to a pixel of 65; the wrong direction, or none, costs ten times as much or more."""
    torch.manual_seed(0)
    images = scene(PLACES.repeat(8, 1), align_corners=align_corners)
    found = cost(Follows(align_corners), images, **b)
    still = Follows(align_corners)
    theta = located(images, align_corners)
    still.change = lambda _: theta
    assert found < 0.02
    assert cost(still, images, **b) > max(0.05, 5 * found)


def test_as_matrices_it_is_the_inverse_of_b_and_then_theta():
    """b(G(T_b x)) = G(x) is theta(T_b x) = b^-1 theta(x); the other order, or b itself, is far off."""
    torch.manual_seed(0)
    transform = Similarity()
    theta, b = (torch.randn(5, 4, dtype=torch.float64) for _ in range(2))
    grid = transform.grid(theta, (7, 9))
    affine = transform.matrix(b)[:, :2]
    right = transform.grid(transform.compose(transform.inverse(b), theta), (7, 9))
    torch.testing.assert_close(mapped(right, affine), grid, rtol=0, atol=1e-10)
    for wrong in (transform.compose(theta, transform.inverse(b)), transform.compose(b, theta)):
        assert squared_distance(mapped(transform.grid(wrong, (7, 9)), affine), grid).min() > 0.01


def test_moved_image_shows_b_of_the_image():
    """What the network is given the second time, against OpenCV's warp by the b that was drawn."""
    torch.manual_seed(0)
    penalty = Equivariance()
    image = scene(PLACES[:1])
    seen, drawn = [], []
    draw = penalty._draw
    penalty._draw = lambda images: drawn.append(draw(images)) or drawn[0]

    def network(images):
        seen.append(images)
        return Output(torch.zeros(1, 2), {"input": Warped(images, images, torch.rand(1, 4, 4, 2))})

    penalty(network(image), image, network)
    to_pixels = np.array([[SIDE / 2, 0, (SIDE - 1) / 2], [0, SIDE / 2, (SIDE - 1) / 2], [0, 0, 1]])
    matrix = to_pixels @ np.vstack([drawn[0][0].numpy(), [0, 0, 1]]) @ np.linalg.inv(to_pixels)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(
        image[0, 0].float().numpy(), matrix[:2], (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    np.testing.assert_allclose(seen[1][0, 0], expected, rtol=0, atol=1e-3)
    rotation = np.diff(np.linalg.svd(drawn[0][0, :, :2].numpy())[1])
    np.testing.assert_allclose(rotation, 0, atol=1e-12)  # a similarity


def test_smaller_window_costs_no_less():
    torch.manual_seed(0)
    grid, other = torch.rand(3, 5, 5, 2), torch.rand(3, 5, 5, 2)
    torch.testing.assert_close(squared_distance(0.1 * grid, 0.1 * other), squared_distance(grid, other), rtol=1e-2, atol=0)


def test_any_transform_is_compared_by_its_grids():
    theta = Projective().identity()[None] + torch.tensor([[0.1, 0, 0, 0, 0, 0.2, 0.1, 0.0]])
    b = torch.tensor([[[0.9, -0.1, 0.2], [0.1, 0.9, 0.0]]])
    homography = torch.cat([b, torch.tensor([[[0.0, 0.0, 1.0]]])], dim=1) @ Projective().matrix(theta)
    expected = Projective().grid(Projective().from_matrix(homography), (5, 6))
    torch.testing.assert_close(mapped(Projective().grid(theta, (5, 6)), b), expected, rtol=0, atol=1e-5)


def test_only_what_sees_the_image_counts():
    """The first in a row; all that are parallel."""
    image = scene(PLACES[:1])
    wrong = torch.full((1, 4, 4, 2), 7.0).requires_grad_()

    def network(names):
        grid = Affine().grid(torch.tensor([[1.0, 0, 0, 0, 1, 0]]), (4, 4)).requires_grad_()
        grids = {name: grid if i == 0 else wrong for i, name in enumerate(names)}
        return lambda images: Output(torch.zeros(1, 2), {name: Warped(images, g, g) for name, g in grids.items()})

    for names, counts in ((("input", "conv1"), False), (("input.1", "input.2"), True)):
        made = network(names)
        Equivariance()(made(image), image, made).backward()
        assert (wrong.grad is not None) == counts
        wrong.grad = None
