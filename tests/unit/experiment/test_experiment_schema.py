"""The JSON Schema of experiments."""

from __future__ import annotations

import json
import re
from typing import Any

from chaos.experiment.document import shipped
from chaos.experiment.schema import DIALECT, schema
from chaos.faults import registry


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(inner) for inner in value.values()))
    return set().union(*(references(inner) for inner in value)) if isinstance(value, list) else set()


def test_it_is_plain_data_of_the_current_dialect() -> None:
    """It can be written as JSON, and everything that it refers to is in it."""
    made = schema()
    assert made["$schema"] == DIALECT
    assert json.loads(json.dumps(made)) == made
    assert references(made) <= {f"#/$defs/{name}" for name in made["$defs"]}


def test_every_installed_fault_has_its_arguments_in_it() -> None:
    """Each field of each fault, closed against unknown ones, and a variable in the place of any."""
    shapes = {one["title"]: one for one in schema()["$defs"]["injection"]["oneOf"]}
    assert set(shapes) == set(registry())
    for name, model in registry().items():
        assert set(shapes[name]["properties"]) == {"fault", "name", *model.model_fields}
        assert {"fault", "target", "duration"} <= set(shapes[name]["required"])
        assert shapes[name]["additionalProperties"] is False
        assert any(one.get("pattern") for one in shapes[name]["properties"]["duration"]["anyOf"])


def test_the_keys_of_the_shipped_experiments_are_in_it() -> None:
    """At the top level, and each of their thresholds fits the pattern."""
    made = schema()
    extension = made["properties"]["extensions"]["items"]["then"]["properties"]
    for file in shipped().values():
        document = json.loads(file.read_text(encoding="utf-8"))
        assert set(document) <= set(made["properties"])
        ours = document["extensions"][0]
        assert set(ours) <= set(extension)
        for phase, rules in ours["thresholds"].items():
            pattern = extension["thresholds"]["properties"][phase]["items"]["pattern"]
            assert all(re.search(pattern, rule) for rule in rules)
