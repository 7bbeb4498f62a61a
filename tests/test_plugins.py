"""The registry, on packages as pip would leave them."""

import sys
from collections.abc import Mapping
from importlib import import_module

import pytest

from stn_lightning.plugins import PluginError

HOUSE = """
    from stn_lightning.plugins import Registry

    class Part: ...

    registry = Registry("parts", Part)

    def __getattr__(name):
        return registry.resolve(name)
"""
GOOD = """
    from parts import Part

    class Good(Part): ...
    class Other(Part): ...
    class Unlisted(Good): ...
    def function(): ...
    instance = Good()
    class Stranger: ...
"""


@pytest.fixture
def house(importable, install):
    """``add(dist, version, {name: value}, {module: source})`` installs a package; ``parts()`` is the module of the group."""

    class House:
        def add(self, dist, version, names, **modules):
            install(importable, dist, version, {"parts": names}, modules)

        def parts(self):
            return import_module("parts")

        @property
        def registry(self):
            return self.parts().registry

    house = House()
    install(importable, "house", "1.0", {"parts": {}}, {"parts": HOUSE})
    house.add("stn-good", "2.5", {"good": "good_parts:Good", "other": "good_parts:Other"}, good_parts=GOOD)
    return house


def test_registry_is_a_mapping_in_order_of_names(house):
    house.add("stn-first", "1", {"a": "nothing:Here"})
    registry = house.registry
    assert isinstance(registry, Mapping)
    assert list(registry) == list(registry.keys()) == ["a", "good", "other"]
    assert len(registry) == 3
    assert "good" in registry
    assert "nope" not in registry
    assert registry.get("nope") is None
    assert registry.get("good").__name__ == "Good"


def test_listing_imports_no_plugin(house):
    assert list(house.registry) == ["good", "other"]
    assert "good" in house.registry
    assert "good_parts" not in sys.modules


def test_plugin_is_loaded_by_its_name_and_is_an_attribute_of_the_module(house):
    loaded = house.registry["good"]
    assert loaded is import_module("good_parts").Good
    assert house.parts().good is loaded
    assert issubclass(loaded, house.parts().Part)
    assert house.registry["good"] is loaded


def test_missing_name_lists_what_is_installed_and_suggests(house):
    with pytest.raises(KeyError, match=r"'god'.*did you mean 'good'.*installed parts: good, other"):
        house.registry["god"]
    with pytest.raises(KeyError, match=r"'zzzzzz' is installed; installed parts: good, other"):
        house.registry["zzzzzz"]
    with pytest.raises(AttributeError, match=r"'god'.*good, other"):
        house.parts().god  # noqa: B018


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise RuntimeError('no CUDA extension')", "RuntimeError: no CUDA extension"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("class :", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("class Stop(BaseException): ...\nraise Stop('enough')", "Stop: enough"),
        ("pass", "AttributeError"),
    ],
    ids=["error", "missing-dependency", "syntax", "exit", "base-exception", "no-such-class"],
)
def test_broken_plugin_is_an_error_when_used_and_hurts_nobody_else(house, source, cause):
    house.add("stn-broken", "0.3", {"broken": "broken_parts:Boom"}, broken_parts=source)
    registry = house.registry
    assert list(registry) == ["broken", "good", "other"]
    assert registry["good"].__name__ == "Good"
    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            registry["broken"]
        message = str(caught.value)
        assert "part 'broken' of stn-broken 0.3 (broken_parts:Boom)" in message
        assert cause in message
    with pytest.raises(AttributeError, match=r"stn-broken 0\.3"):
        house.parts().broken  # noqa: B018
    assert registry["other"].__name__ == "Other"


def test_interrupt_of_the_user_is_not_swallowed(house):
    house.add("stn-slow", "1", {"slow": "slow_parts:Slow"}, slow_parts="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        house.registry["slow"]


def test_two_packages_with_one_name_are_both_named_at_use(house):
    house.add("stn-bad", "0.1", {"good": "bad_parts:Bad"}, bad_parts="from parts import Part\nclass Bad(Part): ...")
    registry = house.registry
    assert list(registry) == ["good", "other"]
    assert registry["other"].__name__ == "Other"
    with pytest.raises(PluginError) as caught:
        registry["good"]
    assert "stn-bad 0.1 (bad_parts:Bad)" in str(caught.value)
    assert "stn-good 2.5 (good_parts:Good)" in str(caught.value)


def test_class_path_still_works_where_two_packages_have_one_name(house):
    house.add("stn-bad", "0.1", {"good": "bad_parts:Bad"}, bad_parts="from parts import Part\nclass Bad(Part): ...")
    for module, name in (("bad_parts", "Bad"), ("good_parts", "Good")):
        cls = getattr(import_module(module), name)
        assert house.registry.path(cls) == f"{module}.{name}"


def test_one_class_named_twice_is_no_clash(house):
    house.add("stn-good-editable", "2.6", {"good": "good_parts:Good"})
    assert house.registry["good"].__name__ == "Good"


@pytest.mark.parametrize("name", ["registry", "Part", "_x", "__init__", "class", "no-identifier", "1st", "a.b"])
def test_reserved_name_is_an_error_at_use(house, name):
    house.add("stn-rude", "0.2", {name: "good_parts:Good"})
    registry = house.registry
    assert name in list(registry)
    with pytest.raises(PluginError, match=r"stn-rude 0\.2 \(good_parts:Good\).*reserved"):
        registry[name]
    assert registry["good"].__name__ == "Good"
    assert house.parts().registry is registry


@pytest.mark.parametrize("name", ["function", "instance", "Stranger"])
def test_plugin_of_another_type_is_an_error(house, name):
    house.add("stn-odd", "0.4", {"odd": f"good_parts:{name}"})
    with pytest.raises(PluginError, match=r"stn-odd 0\.4.*not a subclass of parts\.Part"):
        house.registry["odd"]


def test_path_and_import_are_inverse(house):
    registry = house.registry
    assert registry.path(registry["good"]) == "parts.good"
    assert getattr(import_module("parts"), "good") is registry["good"]  # noqa: B009
    good_parts = import_module("good_parts")
    assert registry.path(good_parts.Other) == "parts.other"  # never loaded by its name
    assert registry.path(good_parts.Unlisted) == "good_parts.Unlisted"


def test_path_of_a_class_that_its_package_re_exports(house, importable):
    (importable / "inner_parts.py").write_text("from parts import Part\nclass Deep(Part): ...\n")
    house.add("stn-deep", "1", {"deep": "outer_parts:Deep"}, outer_parts="from inner_parts import Deep")
    assert house.registry.path(house.registry["deep"]) == "parts.deep"


def test_subclass_checks_of_the_base_stand(house):
    base, good = house.parts().Part, house.registry["good"]
    assert issubclass(good, base)
    assert not issubclass(int, base)
    assert good.__subclasses__() == [import_module("good_parts").Unlisted]


@pytest.mark.parametrize(("kind", "name"), [("transforms", "tps"), ("samplers", "bicubic"), ("localisations", "conv")])
def test_built_in_resolves_as_a_dotted_path(kind, name):
    module = import_module(f"stn_lightning.{kind}")
    cls = getattr(module, name)
    assert cls is module.registry[name]
    assert module.registry.path(cls) == f"stn_lightning.{kind}.{name}"
    assert cls.registry is module.registry
