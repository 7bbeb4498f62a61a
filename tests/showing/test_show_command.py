"""`stn show` on a real run: pictures of its test images, of other images, and of its evolution."""

import numpy as np
import pytest
import torch
from PIL import Image

OPTIONS = (
    "--model.network=FCN", "--model.network.width=4", "--model.transform=affine", "--data.batch_size=256",
    "--model.initial=[0.5,0,0.25,0,0.5,-0.25]", "--trainer.accelerator=cpu", "--trainer.max_epochs=2",
    "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.default_root_dir=runs",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory, stn_in):
    folder = tmp_path_factory.mktemp("shown")
    done = stn_in(folder, "fit", *OPTIONS)
    assert done.code == 0, done.err
    return folder


CHECKPOINT = "runs/version_0/checkpoints/best.ckpt"


def test_the_test_images_and_the_evolution_are_drawn(trained, stn_in):
    done = stn_in(trained, "show", CHECKPOINT, "--count=3")
    assert done.code == 0, done.err
    shown = trained / "runs/version_0/show/best"
    assert {file.name for file in shown.iterdir()} == {"sheet.png", "pictures", "evolution_input.gif"}
    assert 3 < len(list((shown / "pictures").iterdir())) <= 9
    for file in (shown / "sheet.png", *(shown / "pictures").iterdir()):
        with Image.open(file) as image:
            image.load()
    with Image.open(shown / "evolution_input.gif") as animation:
        assert animation.n_frames == 2


def test_images_of_a_folder_keep_their_names(trained, stn_in, tmp_path):
    for i in range(3):
        Image.fromarray(np.full((30, 20), 80 * i, np.uint8)).save(tmp_path / f"mine_{i}.png")
    done = stn_in(trained, "show", CHECKPOINT, f"--images={tmp_path}", f"--output={tmp_path / 'out'}")
    assert done.code == 0, done.err
    names = sorted(file.name for file in (tmp_path / "out/pictures").iterdir())
    assert names == ["00000_mine_0.png", "00001_mine_1.png", "00002_mine_2.png"]


def test_what_cannot_be_shown_is_one_line(trained, stn_in, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "broken.png" in stn_in(trained, "show", CHECKPOINT, f"--images={tmp_path}").message
    assert "not there" in stn_in(trained, "show", CHECKPOINT, "--images=nowhere").message
    assert "nothing.ckpt" in stn_in(trained, "show", "nothing.ckpt").message
    done = stn_in(trained, "show", CHECKPOINT, "--count=0")
    assert done.code == 2
    assert "at least 1" in done.message
    (tmp_path / "alone.ckpt").write_bytes((trained / CHECKPOINT).read_bytes())
    assert "expected --images" in stn_in(trained, "show", tmp_path / "alone.ckpt").message


def test_what_is_shown_is_what_the_task_predicts(trained):
    """Certainty, verdict and place of the grid, against the network's own output."""
    from pathlib import Path

    from stn_lightning._loading import data_of_run, load_checkpoint
    from stn_lightning.showing import Gallery, looked_at, tested_batches

    file = Path(trained / CHECKPOINT)
    task = load_checkpoint(file)
    samples = list(looked_at(task, tested_batches(data_of_run(file))))
    data = data_of_run(file)
    data.setup("test")
    images, targets = (torch.cat(parts) for parts in zip(*data.test_dataloader(), strict=True))
    with torch.no_grad():
        confidence, predicted = task.network(images).prediction.softmax(1).max(1)
    assert [int(s.predicted) for s in samples] == predicted.tolist()
    assert [s.wrong for s in samples] == (predicted != targets).tolist()
    torch.testing.assert_close(torch.tensor([s.confidence for s in samples]), confidence, rtol=1e-4, atol=1e-5)
    gallery = Gallery(4)
    for sample in samples:
        gallery.add(sample)
    most, least, wrong = gallery.groups().values()
    order = sorted(s.confidence for s in samples)
    assert [s.confidence for s in least] == order[:4]
    assert [s.confidence for s in most] == order[:-5:-1]
    assert [s.confidence for s in wrong] == sorted((s.confidence for s in samples if s.wrong), reverse=True)[:4]
    few = Gallery(4)
    for sample in samples[:3]:
        few.add(sample)
    groups = few.groups()
    assert {s.number for s in (*groups["most certain"], *groups["least certain"])} == {0, 1, 2}
    assert len(groups["most certain"]) + len(groups["least certain"]) == 3


def test_the_grid_of_a_picture_lies_where_the_transformer_looks():
    """The window of an attention of scale 0.5 at the upper right: its lines are orange there, and nowhere else."""
    from stn_lightning.showing import Sample, picture
    from stn_lightning.spatial_transformer import Warped
    from stn_lightning.transforms import Affine

    theta = torch.tensor([[0.5, 0, 0.5, 0, 0.5, -0.5]])
    grid = Affine().grid(theta, (16, 16))
    sample = Sample(
        0, None, torch.zeros(1, 16, 16), {"input": Warped(torch.zeros(1, 1, 16, 16), theta, grid)}, "1", 0.5, "1", False
    )
    side, title, gap = 160, 20, 4
    drawn = picture(sample, side)[
        :, title + gap // 2 : title + gap // 2 + side, side + gap + gap // 2 : 2 * side + gap + gap // 2
    ]
    orange = drawn[0] > 100
    assert not orange[side // 2 + 2 :].any()
    assert not orange[:, : side // 2 - 2].any()
    inner = orange[4 : side // 2 - 4, side // 2 + 4 : side - 4]
    assert inner.any(0).sum() == inner.shape[1]  # lines cross it all
    assert 0.05 < inner.float().mean() < 0.5
