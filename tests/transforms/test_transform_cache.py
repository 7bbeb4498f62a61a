"""Constants are built once, stay out of the state, and cannot be told from constants built anew."""

import copy
import gc
import pickle

import pytest
import torch

from stn_lightning.transforms import registry

SIZE = (61, 67)  # a number of points that no other tensor has


three = pytest.mark.parametrize("build", ["affine", "projective", "tps"], indirect=True)  # the ways to make a grid


def held():
    """Tensors alive that are as large as a basis at SIZE, or a multiple of it."""
    return sum(o.numel() > 0 and o.numel() % (SIZE[0] * SIZE[1]) == 0 for o in gc.get_objects() if type(o) is torch.Tensor)


def alive():
    return sum(type(o) is torch.Tensor for o in gc.get_objects())


def test_nothing_of_the_cache_is_state(transform, draw):
    transform.grid(draw(transform), SIZE)
    assert transform.state_dict() == {}
    assert [*transform.parameters(), *transform.buffers()] == []


@three
def test_constants_are_built_once(transform, draw):
    theta = draw(transform)
    first = transform.grid(theta, SIZE)
    kept = held()
    second = transform.grid(theta, SIZE)
    assert torch.equal(first, second)
    del second
    assert held() == kept
    assert kept > 1  # there is something besides `first`


@three
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))], ids=["deepcopy", "pickle"])
def test_copies_start_empty_and_give_the_same_grid(transform, draw, copied):
    theta = draw(transform)
    expected = transform.grid(theta, SIZE)
    kept = held()
    twin = copied(transform)
    assert held() == kept
    assert torch.equal(twin.grid(theta, SIZE), expected)
    assert torch.equal(copied(twin).grid(theta, SIZE), expected)
    assert held() > kept


def test_pickle_does_not_grow_with_use(transform, draw):
    fresh = len(pickle.dumps(transform))
    transform.grid(draw(transform), SIZE)
    assert len(pickle.dumps(transform)) == fresh


def test_copy_learns_on_its_own(draw):
    transform = registry["affine"](learn_basis=True, basis_size=(4, 4))
    twin = copy.deepcopy(transform)
    theta = draw(transform)
    with torch.no_grad():
        next(twin.parameters()).add_(1)
    assert not torch.equal(twin.grid(theta, (4, 4)), transform.grid(theta, (4, 4)))


@three
def test_cache_is_bounded_and_right_after_eviction(transform, draw):
    theta = draw(transform)
    first = transform.grid(theta, (3, 2))
    counts = []
    for start in (4, 64):
        for n in range(start, start + 60):
            transform.grid(theta, (3, n))
        counts.append(alive())
    assert counts[0] == counts[1]
    assert torch.equal(transform.grid(theta, (3, 2)), first)


def test_sizes_and_settings_do_not_mix(build, draw):
    """Every grid of a transform that served many is that of a fresh one."""
    used = build()
    for dtype in (torch.float32, torch.float64):
        theta = draw(used, 2, dtype)
        for size in [(4, 6), (6, 4), (24, 1)]:
            for align_corners in (False, True):
                assert torch.equal(used.grid(theta, size, align_corners), build().grid(theta, size, align_corners))


def test_writing_on_a_grid_does_not_reach_the_cache(transform):
    theta = transform.identity()[None]
    transform.grid(theta, (4, 6)).fill_(7)
    assert transform.grid(theta, (4, 6)).abs().max() <= 1


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize(
    ("name", "learn"), [("affine", False), ("affine", True), ("projective", False), ("tps", False), ("tps", True)]
)
def test_first_use_without_autograd_does_not_break_training(name, learn, mode, draw):
    """Lightning's sanity check runs before training, in inference mode."""
    transform = registry[name](**({"learn_basis": True, "basis_size": (4, 6)} if learn else {}))
    theta = draw(transform, 2, torch.float32)
    with mode():
        transform.grid(theta, (4, 6))
    theta.requires_grad_()
    transform.grid(theta, (4, 6)).square().sum().backward()
    gradient = theta.grad.clone()
    fresh = registry[name]()
    theta.grad = None
    fresh.grid(theta, (4, 6)).square().sum().backward()
    torch.testing.assert_close(gradient, theta.grad)
