"""The floors of direct dependencies, as constraints of pip: python .ci/floors.py pyproject.toml ... > floors.txt.

Of a dependency that several projects or extras name, the highest floor counts. One without a floor is an error.
"""

import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


def floors(files: Iterable[Path]) -> dict[str, Version]:
    """Of what each project and its extras name, their own packages left out, sorted by name."""
    projects = [tomllib.loads(file.read_text())["project"] for file in files]
    own = {canonicalize_name(project["name"]) for project in projects}
    found: dict[str, Version] = {}
    for project in projects:
        for line in sum(project.get("optional-dependencies", {}).values(), project.get("dependencies", [])):
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            if name in own:
                continue
            lowest = [Version(bound.version) for bound in requirement.specifier if bound.operator in (">=", "==")]
            if len(lowest) != 1:
                raise ValueError(f"{project['name']}: {line}: expected one lower bound, {name}>=VERSION, got {len(lowest)}")
            found[name] = max(found.get(name, lowest[0]), *lowest)
    return dict(sorted(found.items()))


if __name__ == "__main__":
    for name, version in floors(map(Path, sys.argv[1:])).items():
        print(f"{name}=={version}")
