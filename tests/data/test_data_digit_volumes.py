"""DigitVolumes on the embedded digits: poses, what they look like, and that they are whose they are."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from stn_lightning.data import DigitVolumes
from stn_lightning.data._digit_volumes import poses, rotation, volumes
from stn_lightning.networks import VolumeCNN


def ready(**options):
    data = DigitVolumes(**{"side": 16, "batch_size": 8} | options)
    data.setup()
    return data


def first_batch(data, epoch=0):
    loader = data.train_dataloader()
    loader.set_epoch(epoch)
    return data.on_after_batch_transfer(next(iter(loader)), 0)


def evaluated(data, count=24):
    batches = (data.on_after_batch_transfer(batch, 0) for batch in data.test_dataloader())
    return torch.cat([next(batches)[0] for _ in range(count // data.batch_size)])


def test_batches_are_volumes_with_their_classes():
    data = ready()
    assert (data.input_shape, data.num_classes) == ((1, 16, 16, 16), 10)
    for volume, target in [first_batch(data), data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)]:
        assert (volume.shape, volume.dtype, target.shape) == ((8, 1, 16, 16, 16), torch.float32, (8,))
        assert 0 <= volume.min() <= volume.max() <= 1
        assert (volume.flatten(1).amax(1) > 0.3).all()
    assert len(data.test_dataloader()) == -(-450 // 8)


def test_training_poses_are_drawn_anew_and_by_the_seed():
    one, two, again = first_batch(ready(seed=0)), first_batch(ready(seed=0), epoch=1), first_batch(ready(seed=0))
    assert torch.equal(one[0], again[0])
    assert not torch.equal(one[0], two[0])
    assert not torch.equal(one[0], first_batch(ready(seed=1))[0])
    data = ready(seed=0)
    raw = next(iter(data.train_dataloader()))
    seen = [data.on_after_batch_transfer(raw._replace(seed=seed), 0)[0] for seed in (raw.seed, raw.seed + 1)]
    assert not torch.equal(*seen)  # of the same images


def test_evaluated_volumes_do_not_depend_on_batches_or_the_training_seed():
    expected = evaluated(ready(seed=0))
    assert torch.equal(evaluated(ready(seed=1, batch_size=12)), expected)
    assert not torch.equal(evaluated(ready(evaluation_seed=1)), expected)


def test_rotations_are_scipys():
    axis, angle = torch.randn(6, 3, dtype=torch.float32), 3 * torch.rand(6)
    vectors = (axis / axis.norm(dim=1, keepdim=True) * angle[:, None]).double().numpy()
    expected = torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix())
    torch.testing.assert_close(rotation(axis, angle).double(), expected, rtol=0, atol=1e-6)


def test_poses_have_the_angles_and_places_that_are_said():
    theta = poses(4000, 60.0, 8, torch.Generator().manual_seed(0)).view(-1, 3, 4).double()
    box = theta.new_tensor([28, 28, 8]) / 60
    turns = (theta[:, :, :3] * box[:, None]).numpy()
    angles = np.rad2deg(Rotation.from_matrix(turns).magnitude())
    assert kstest(angles, "uniform", args=(0, 60)).pvalue > 0.01
    place = -torch.linalg.solve(theta[:, :, :3], theta[:, :, 3])
    for axis in range(3):
        assert kstest(place[:, axis].numpy(), "uniform", args=(-32 / 60, 64 / 60)).pvalue > 0.01


def test_volume_is_what_scipy_makes_of_the_pose():
    """By its trilinear interpolation of the plate, voxel by voxel."""
    torch.manual_seed(0)
    images = torch.rand(3, 1, 28, 28)
    theta = poses(3, 60.0, 8, torch.Generator().manual_seed(1))
    ours = volumes(images, theta, 20, 8)
    for volume, image, matrix in zip(ours, images, theta.view(-1, 3, 4).double().numpy(), strict=True):
        plate = image.expand(8, -1, -1).numpy().astype(float)
        # from voxel indices (z, y, x) of the cube to those of the plate
        linear, shift = matrix[::-1, 2::-1], matrix[::-1, 3]
        sizes = np.array(plate.shape)
        scale = sizes[:, None] / 2 * linear * (2 / 20)
        offset = (linear @ np.full(3, 1 / 20 - 1) + shift + 1) * sizes / 2 - 0.5
        expected = affine_transform(plate, scale, offset, (20, 20, 20), order=1, mode="grid-constant", prefilter=False)
        np.testing.assert_allclose(volume[0].numpy(), expected, atol=2e-5)


def test_unturned_digit_in_the_middle_projects_to_itself():
    """Its 28x28 frame, each pixel as often as the digit is thick."""
    image = ready()._sets["test"].images[:2].float() / 255
    theta = torch.zeros(2, 3, 4)
    theta[:, 0, 0] = theta[:, 1, 1] = 60 / 28
    theta[:, 2, 2] = 60 / 8
    projection = volumes(image, theta.flatten(1), 60, 8).sum(2)
    torch.testing.assert_close(projection[:, :, 16:44, 16:44], 8 * image, rtol=0, atol=1e-4)
    assert projection.sum() == pytest.approx(8 * float(image.sum()), rel=1e-4)


@pytest.mark.parametrize("wrong", [{"side": 0}, {"depth": 0}, {"degrees": 200.0}, {"degrees": -1.0}], ids=str)
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=r"expected side and depth above 0, degrees in \[0, 180\]; got"):
        DigitVolumes(**wrong)


def test_network_flattens_the_depth_by_its_sum():
    torch.manual_seed(0)
    network, volume = VolumeCNN((1, 24, 24, 24), 10, width=3), torch.rand(2, 1, 24, 24, 24)
    moved = volume.roll(5, dims=2)
    torch.testing.assert_close(network(moved).prediction, network(volume).prediction)
    with pytest.raises(ValueError, match=r"expected input_shape \(C, D, H, W\), got \(1, 24, 24\)"):
        VolumeCNN((1, 24, 24), 10)
