"""The arrows of the layout: a room imports only rooms above it, and only the last ones import Lightning."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stn_lightning

PACKAGE = Path(stn_lightning.__file__).parent
ROOMS = [
    "_printable",
    "_files",
    "checkpoints",
    "_yaml",
    "reporting",
    "processes",
    "reproducing",
    "geometry",
    "plugins",
    "component",
    "backbones",
    "transforms",
    "samplers",
    "localisations",
    "spatial_transformer",
    "health",
    "networks",
    "distortions",
    "penalties",
    "_import_policy",
    "data",
    "tasks",
    "callbacks",
    "showing",
    "exporting",
    "testing",
    "_checkpoints",
    "_messages",
    "_loading",
    "_commands",
    "cli",
    "_plugin_commands",
    "_export_command",
    "_report_command",
    "_reproduce_command",
    "_show_command",
    "__main__",
]
LIGHTNING_ROOMS = {"checkpoints", "data", "tasks", "processes", "callbacks", "_loading", "cli"}
LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric"}
FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")
IDS = [str(file.relative_to(PACKAGE)) for file in FILES]


def room(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file):
    """(module, name or None) of every import statement, wherever it stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            yield from ((node.module, alias.name) for alias in node.names)


def rooms_imported(file):
    for module, name in imports(file):
        top, *rest = module.split(".")
        if top == "stn_lightning":
            found = rest[0] if rest else name
            if found in stn_lightning.__all__ and found != "__version__":
                found = "spatial_transformer"
            if found != "__version__":
                yield found


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_room_is_in_the_layout(file):
    assert room(file) in ROOMS


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_room_imports_only_rooms_above(file):
    allowed = set(ROOMS[: ROOMS.index(room(file)) + 1])
    assert set(rooms_imported(file)) <= allowed


def test_arrows_are_seen():
    assert set(rooms_imported(PACKAGE / "cli.py")) >= {"data", "tasks", "callbacks", "transforms"}
    assert set(rooms_imported(PACKAGE / "networks" / "_staged.py")) == {"geometry", "spatial_transformer"}


def test_geometry_imports_nothing_of_ours():
    assert set(rooms_imported(PACKAGE / "geometry.py")) == set()


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_lightning_stays_in_the_last_rooms(file):
    tops = {module.split(".")[0] for module, _ in imports(file)}
    assert room(file) in LIGHTNING_ROOMS or not tops & LIGHTNING


@pytest.mark.parametrize("file", [PACKAGE / "__init__.py", *FILES], ids=["__init__.py", *IDS])
def test_no_private_name_of_a_dependency(file):
    bound = set()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    private = [
        f"{module}.{name}"
        for module, name in imports(file)
        if module.split(".")[0] not in ("stn_lightning", "__future__")
        for part in [*module.split("."), name or ""]
        if part.startswith("_")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in bound:
                private.append(ast.unparse(node))
    assert set(private) <= {"os._exit"}  # a documented function


@pytest.mark.parametrize("kind", ["transforms", "samplers", "localisations"])
def test_no_file_or_attribute_has_the_name_of_a_plugin(kind):
    module = __import__(f"stn_lightning.{kind}", fromlist=["registry"])
    names = set(module.registry)
    assert names
    for name in names:
        getattr(module, name)  # resolving a plugin must not bind it
    assert not names & set(vars(module))
    assert not names & {path.stem for path in (PACKAGE / kind).iterdir()}
    implementation = [path.name for path in (PACKAGE / kind).glob("*.py")]
    assert all(name.startswith("_") for name in implementation)


def test_built_ins_come_from_our_own_entry_points():
    from importlib.metadata import distribution

    points = distribution("stn-lightning").entry_points
    groups = {
        g: {p.name for p in points.select(group=f"stn_lightning.{g}")} for g in ("transforms", "samplers", "localisations")
    }
    assert groups == {
        "transforms": {
            *("translation", "attention", "similarity", "affine", "affine1d", "affine3d", "projective", "tps"),
            *("flow", "piecewise_affine"),
        },
        "samplers": {"nearest", "bilinear", "bicubic", "bspline", "antialiased", "linear", "trilinear"},
        "localisations": {"fc", "conv", "conv1d", "conv3d", "backbone", "bounded", "recurrent", "shallow", "soft_argmax"},
    }


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import stn_lightning", {"torch", "numpy", "lightning", "jsonargparse"}),
        ("import stn_lightning.spatial_transformer", {*LIGHTNING, "jsonargparse", "torchvision", "torchmetrics"}),
        (
            "import stn_lightning.networks, stn_lightning.distortions",
            {*LIGHTNING, "jsonargparse", "torchvision", "torchmetrics"},
        ),
    ],
)
def test_import_stays_light(statement, heavy):
    code = f"import sys; {statement}; print(*({{m.split('.')[0] for m in sys.modules}} & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
