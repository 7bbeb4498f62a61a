"""Plugins that lie about what they are, take a built-in's name, or have hostile names and metadata."""

import pytest

from stn_lightning import transforms
from stn_lightning.plugins import PluginError, Registry, reason, shown
from stn_lightning.transforms import Transform

LIES = {
    "instance that says it is a class": "class Rogue:\n    __class__ = type\n    __mro__ = (Affine,)\nRogue = Rogue()",
    "instance with bases": "class Rogue:\n    __bases__ = (Affine,)\n    __mro__ = (Affine,)\nRogue = Rogue()",
    "metaclass with another order": (
        "class Meta(type):\n    __mro__ = property(lambda cls: type.mro(Affine))\nclass Rogue(metaclass=Meta): ..."
    ),
    "metaclass with its own attributes": (
        "class Meta(type):\n    def __getattribute__(cls, name): return (Affine,)\nclass Rogue(metaclass=Meta): ..."
    ),
    "registered by its base": "class Rogue: ...\nABCMeta.register(Affine, Rogue) if isinstance(Affine, ABCMeta) else None",
}
HEAD = "from abc import ABCMeta\nfrom stn_lightning.transforms import Affine\n"


@pytest.fixture
def registry(importable, monkeypatch):
    """A registry of its own with the group of the transforms, which sees what a test installs."""
    monkeypatch.delattr(Transform, "__subclasses__", raising=False)
    found = Registry(transforms.registry.group, Transform)
    yield found
    Transform.__subclasses__ = classmethod(transforms.registry._subclasses)


@pytest.fixture
def add(importable, install):
    def add(names, source="", dist="stn-rogue"):
        module = {"rogue_plugin": HEAD + source}
        install(importable, dist, "0.7", {"stn_lightning.transforms": names}, {})
        (importable / "rogue_plugin.py").write_text(module["rogue_plugin"])

    return add


@pytest.mark.parametrize("lie", LIES)
def test_lie_about_a_type_is_not_believed(registry, add, lie):
    add({"rogue": "rogue_plugin:Rogue"}, LIES[lie])
    with pytest.raises(PluginError, match=r"'rogue' of stn-rogue 0\.7 .*is not a subclass"):
        registry["rogue"]


def test_built_in_keeps_its_name(registry, add):
    add({"affine": "rogue_plugin:Rogue"}, "class Rogue(Affine): ...")
    assert registry["affine"] is transforms.Affine
    (refused,) = registry.refused
    assert (refused.name, refused.package, refused.version) == ("affine", "stn-rogue", "0.7")
    assert "rogue_plugin:Rogue" in refused.why


@pytest.mark.parametrize("name", ["\x1b[2Jx", "x\u202ey", "a\x07", "\u0430ffine", "é", pytest.param("x" * 301, id="long")])
def test_name_is_escaped_and_reserved(registry, add, name):
    add({name: "rogue_plugin:Rogue"}, "class Rogue(Affine): ...")
    with pytest.raises(PluginError, match="reserved") as caught:
        registry[name]
    for text in (str(caught.value), registry.names(), registry.missing("nope")):
        assert text.isascii()
        assert text.isprintable()
    assert registry["affine"] is transforms.Affine


def test_many_names_and_long_ones_are_cut(registry, add):
    add({**{f"rogue{i}": "x:Y" for i in range(500)}, "a" * 9000: "x:Y"})
    assert "and 4" in registry.names()
    assert len(registry.names()) < 1500
    assert len(shown("x" * 9000)) < 400


def test_package_without_metadata_is_unknown(registry, importable):
    info = importable / "stn_rogue-0.7.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[stn_lightning.transforms]\nrogue = nothing:Here\n")
    with pytest.raises(PluginError, match="'rogue' of an unknown package"):
        registry["rogue"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[stn_lightning.transforms]\nno equals sign\n"])
def test_list_that_cannot_be_read_hurts_nobody_else(registry, importable, content):
    info = importable / "stn_rogue-0.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stn-rogue\nVersion: 0.7\n")
    (info / "entry_points.txt").write_bytes(content)
    assert registry["affine"] is transforms.Affine
    assert [refused.package for refused in registry.refused] == ["stn-rogue"]


def test_error_that_cannot_be_said_is_one():
    class Mute(BaseException):
        def __str__(self):
            raise SystemExit(1)

    assert reason(Mute()) == "an error that cannot be said"
    assert reason(ValueError("\x1b[2J")) == r"ValueError: \x1b[2J"


def test_command_lists_them_all(stn, importable, add, monkeypatch):
    add({"affine": "rogue_plugin:Rogue", "\x1b[2Jx": "rogue_plugin:Rogue"}, "class Rogue(Affine): ...")
    monkeypatch.delitem(vars(transforms.registry), "points", raising=False)
    monkeypatch.setattr(transforms.registry, "refused", [])
    try:
        done = stn("plugins")
    finally:
        vars(transforms.registry).pop("points", None)
    assert done.code == 0
    assert "\x1b" not in done.out
    assert [line.split()[2] for line in done.out.splitlines() if "BROKEN" in line] == ["stn-rogue", "stn-rogue"]
