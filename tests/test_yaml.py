"""YAML and JSON of strangers: what would take hours or all memory is refused, by the file's name."""

import json

import pytest
import yaml

from stn_lightning._yaml import CHARACTERS, DEPTH, NODES, check, check_file, load, read_json, read_yaml


def bomb(levels):
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


MERGES = "a: &a {x: 1}\n" + "".join(
    f"{key}: &{key} {{<<: [*{before}, *{before}, *{before}, *{before}]}}\n"
    for before, key in zip("abcdefghijk", "bcdefghijkl", strict=True)
)
REFUSED = {
    "aliases": (bomb(9), f"at most {NODES} values"),
    "merges": (MERGES, f"at most {NODES} values"),
    "aliases in a string": (json.dumps([bomb(9)]), f"at most {NODES} values"),
    "values": (str([1] * NODES), f"at most {NODES} values"),
    "levels": ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), f"at most {DEPTH} levels"),
    "more levels than a parser has": ("[" * 100_000 + "]" * 100_000, f"at most {DEPTH} levels"),
    "characters": ("# " + "x" * CHARACTERS, f"at most {CHARACTERS} characters"),
    "itself": ("a: &a [*a]", r"line 1: \*a holds itself"),
    "key": ("a:\n  b: 1\n  c: 2\n  b: 3", "line 4: the key 'b' stands twice"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_take_hours_is_refused(what):
    text, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        load(text)


@pytest.mark.parametrize(
    "text",
    ["[" * DEPTH + "]" * DEPTH, str([1] * (NODES - 2)), bomb(2), "a: {b: 1}\nc: {b: 1}", "[b, b]", "a: &a 1\nb: *a", ""],
)
def test_what_is_small_is_not(text):
    check(text)


@pytest.mark.parametrize("what", ["aliases", "key", "characters"])
@pytest.mark.parametrize("read", [check_file, read_yaml])
def test_file_is_named(tmp_path, what, read):
    (tmp_path / "evil.yaml").write_text(REFUSED[what][0])
    with pytest.raises(ValueError, match=r"evil\.yaml: "):
        read(tmp_path / "evil.yaml")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{", "9" * 5000, f'"{"x" * CHARACTERS}"'], ids=["deep", "cut", "number", "long"]
)
def test_json_file_is_named(tmp_path, text):
    (tmp_path / "evil.json").write_text(text)
    with pytest.raises(ValueError, match=r"evil\.json: "):
        read_json(tmp_path / "evil.json")


def test_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "evil.yaml").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ValueError, match=r"evil\.yaml: "):
        read_yaml(tmp_path / "evil.yaml")


def test_python_tags_are_refused():
    with pytest.raises(yaml.YAMLError, match="python/object/apply"):
        load("!!python/object/apply:os.system [true]")


@pytest.mark.parametrize("option", ["--trainer.max_epochs", "--data", "--model.network"])
def test_option_is_named(stn, option):
    flow = f"{{{bomb(9)}}}".replace("\n", ", ")
    assert f"at most {NODES} values" in (message := stn("fit", f"{option}={flow}").message)
    assert option.rpartition(".")[0] in message


def test_config_is_named(stn, tmp_path):
    (tmp_path / "evil.yaml").write_text(bomb(9))
    assert "evil.yaml: line 4" in stn("fit", "--config=evil.yaml").message


def test_part_of_a_config_is_refused(stn, tmp_path):
    (tmp_path / "part.yaml").write_text(bomb(9))
    (tmp_path / "whole.yaml").write_text("model: {class_path: Classification, init_args: {network: part.yaml}}")
    assert f"at most {NODES} values" in stn("fit", "--config=whole.yaml").message


def test_run_with_such_a_config_is_left_out_of_a_report(stn, tmp_path):
    (tmp_path / "version_0").mkdir()
    (tmp_path / "version_0" / "config.yaml").write_text(bomb(9))
    done = stn("report", "version_0")
    assert done.code == 1
    assert "config.yaml is damaged" in done.err
    assert f"at most {NODES} values" in done.err
