"""``stn check-plugin`` finds what is wrong with a plugin, and says it."""

import json
import subprocess
import sys
from textwrap import dedent

HEAD = """
    import torch
    from stn_lightning.localisations import Localisation, Regression
    from stn_lightning.samplers import Bilinear, Sampler
    from stn_lightning.transforms import Transform

    class Shift(Transform):
        '''Translation.

        Args:
            unit: shift of a unit of theta.
        '''

        num_params = 2

        def __init__(self, unit: float = 1.0) -> None:
            super().__init__()
            self.unit = unit

        def identity(self):
            return torch.zeros(2)

        def points(self, theta, xy):
            return xy + self.unit * theta[:, None]
"""
# name: (source, the check that fails, what its message says)
TRANSFORMS = {
    "sound": ("class Sound(Shift):\n    'Right.'", None, None),
    "half_pixel": (
        """
        class HalfPixel(Shift):
            'Counts pixels from their edges.'

            def grid(self, theta, size, align_corners=False):
                return super().grid(theta, size, align_corners) + 1 / torch.tensor([size[1], size[0]])
        """,
        "identity is the regular grid",
        "the grid is off by (0.5, 0.5) pixels everywhere",
    ),
    "transposed": (
        """
        class Transposed(Shift):
            'Takes points for (y, x).'

            def points(self, theta, xy):
                return super().points(theta, xy).flip(-1)
        """,
        "identity is the regular grid",
        "the coordinates are transposed",
    ),
    "detached": (
        """
        class Detached(Shift):
            'Cuts the gradient.'

            def points(self, theta, xy):
                return super().points(theta.detach(), xy)
        """,
        "theta gets a gradient at the start",
        "theta is detached",
    ),
    "bf16": (
        """
        class HalfPrecision(Shift):
            'Computes in bfloat16.'

            def points(self, theta, xy):
                return super().points(theta.bfloat16(), xy.bfloat16()).to(theta)
        """,
        "geometry is precise under any precision",
        "the geometry is computed in less than torch.float",
    ),
    "untyped": (
        """
        class Untyped(Shift):
            '''Has an argument of any type.

            Args:
                unit: shift of a unit of theta.
            '''

            def __init__(self, unit=1.0):
                super().__init__(unit)
        """,
        "arguments are typed and documented",
        "argument 'unit' of Untyped has no type",
    ),
    "other_corners": (
        """
        from stn_lightning.geometry import regular_points

        class OtherCorners(Shift):
            'Has one align_corners of its own.'

            def grid(self, theta, size, align_corners=False):
                points = self.points(theta, regular_points(size, True).to(theta))
                return points.view(len(theta), *size, 2)
        """,
        "identity is the regular grid",
        "the grid is that of align_corners=True",
    ),
    "mixed": (
        """
        class Mixed(Shift):
            'Subtracts the mean of the batch.'

            def points(self, theta, xy):
                return super().points(theta - theta.mean(0), xy)
        """,
        "samples do not depend on each other",
        "a theta gives the same grid alone and in a batch",
    ),
    "forgetful": (
        """
        class Forgetful(Shift):
            'Keeps what it learned out of its state.'

            def __init__(self, unit: float = 1.0) -> None:
                super().__init__(unit)
                self.register_buffer('noise', torch.rand(2), persistent=False)

            def points(self, theta, xy):
                return super().points(theta, xy) + self.noise
        """,
        "plain data builds it again",
        "the part built again from plain data gives the same output",
    ),
    "wrong_inverse": (
        """
        class WrongInverse(Shift):
            'Forgets the sign.'

            def inverse(self, theta):
                return theta
        """,
        "inverse",
        "inverse(theta) undoes theta",
    ),
}
SAMPLERS = {
    "yx": (
        """
        class YX(Bilinear):
            'Takes grid points for (y, x).'

            def sample(self, input, grid, align_corners):
                return super().sample(input, grid.flip(-1), align_corners)
        """,
        "grid points are x then y",
        "coordinate 0 of a grid point belongs to axis -1",
    ),
    "biased": (
        """
        class Biased(Bilinear):
            'Adds a constant.'

            def sample(self, input, grid, align_corners):
                return super().sample(input, grid, align_corners) + 1
        """,
        "is linear in the image",
        "the output is linear in the image",
    ),
}
LOCALISATIONS = {
    "restless": (
        """
        class Restless(Localisation):
            'Starts anywhere.'

            def __init__(self, input_shape: tuple[int, ...], initial: torch.Tensor) -> None:
                super().__init__(input_shape, initial)
                self.trunk = torch.nn.Flatten()
                self.head = torch.nn.Sequential(
                    torch.nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], initial.numel()),
                    torch.nn.Unflatten(1, tuple(initial.shape)),
                )
        """,
        "every head starts at its initial theta",
        "every head starts at its initial theta",
    ),
}
SCRIPT = """
import contextlib, io, json, sys
from stn_lightning.__main__ import main

results = {}
for name in sys.argv[1:]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            main(["check-plugin", name, "--json"])
        except SystemExit as e:
            results[name] = e.code, json.loads(out.getvalue())
print(json.dumps(results))
"""
CASES = {"transforms": TRANSFORMS, "samplers": SAMPLERS, "localisations": LOCALISATIONS}
NAMES = {name: case for cases in CASES.values() for name, case in cases.items()}


def class_name(source):
    return source.split("class ")[1].split("(")[0]


def test_flaws_are_found_and_named(tmp_path, install):
    """In one process, and one test: each plugin takes seconds."""
    source = "\n".join([dedent(HEAD), *(dedent(source) for source, *_ in NAMES.values())])
    groups = {
        f"stn_lightning.{kind}": {name: f"stn_wrong:{class_name(case[0])}" for name, case in cases.items()}
        for kind, cases in CASES.items()
    }
    install(tmp_path, "stn-wrong", "0.1", groups, {"stn_wrong": source})
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", script, *NAMES], capture_output=True, text=True, timeout=280, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    code, outcomes = results.pop("sound")
    assert code == 0
    assert len(outcomes) > 20
    assert {outcome["status"] for outcome in outcomes} == {"passed", "skipped"}
    for name, (code, outcomes) in results.items():
        _, check, message = NAMES[name]
        failed = {outcome["check"]: outcome["messages"] for outcome in outcomes if outcome["status"] == "failed"}
        assert code == 1, name
        assert any(message in text for text in failed.get(check, [])), (name, failed)
        # a check that always fails would name nothing
        assert len(failed) <= len(outcomes) / 2, (name, failed)
