"""Real runs of a small network: two configurations, two seeds each, one of them tested."""

import pytest

SMALL = ("--model.network=FCN", "--model.network.width=4", "--data.batch_size=256", "--trainer.accelerator=cpu")
QUIET = ("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false")


@pytest.fixture(scope="session")
def fit(stn_in):
    def fit(folder, *options):
        done = stn_in(folder, "fit", *SMALL, *QUIET, "--trainer.max_epochs=1", "--trainer.default_root_dir=runs", *options)
        assert done.code == 0, done.err

    return fit


@pytest.fixture(scope="session")
def trained(tmp_path_factory, stn_in, fit):
    """A folder in which ``runs`` has versions 0 to 3: without and with a transformer, by seed; do not write there."""
    folder = tmp_path_factory.mktemp("trained")
    for seed in (0, 1):
        for options in (["--data.distortion=none"], ["--data.distortion=none", "--model.transform=affine"]):
            fit(folder, f"--seed_everything={seed}", *options)
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    """A copy to write in."""
    import shutil

    return shutil.copytree(trained, tmp_path / "copied")
