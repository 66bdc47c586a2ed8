"""The JSON schemas of both configuration files agree with fixtures/config/cases.json, as the parser does (test_config.c)."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = {
    "npxc": json.loads((ROOT / "src/config/schema/npxc.schema.json").read_text()),
    "package": json.loads((ROOT / "src/config/schema/package.schema.json").read_text()),
}
CASES = json.loads((ROOT / "fixtures/config/cases.json").read_text())["cases"]


class NotJson(Exception):
    pass


def without_comments(text):
    """Comments become nothing; a string, which may hold their signs, stays."""
    token = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
    return token.sub(lambda found: found[0] if found[0][0] == '"' else " ", text)


def members(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise NotJson("duplicate key")
    return dict(pairs)


def refuse_constant(word):
    raise NotJson(word)


def content(case):
    if "json" in case:
        return case["json"]
    text = case["text"] if isinstance(case["text"], str) else "\n".join(case["text"])
    try:
        return json.loads(without_comments(text), object_pairs_hook=members, parse_constant=refuse_constant)
    except ValueError as error:
        raise NotJson(str(error)) from error


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "number": is_number,
    "integer": lambda v: is_number(v) and v not in (float("inf"), float("-inf")) and v == int(v),
}


def same(a, b):
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def valid(schema, value, root):
    """The keywords that the two schemas use; any other one is an error here, so that none is silently passed over."""
    number, text, table, items = is_number(value), isinstance(value, str), isinstance(value, dict), isinstance(value, list)
    for keyword, rule in schema.items():
        if keyword in ("$schema", "title", "description", "default", "$defs"):
            ok = True
        elif keyword == "$ref":
            ok = valid(root["$defs"][rule.removeprefix("#/$defs/")], value, root)
        elif keyword == "type":
            ok = TYPES[rule](value)
        elif keyword == "enum":
            ok = any(same(value, each) for each in rule)
        elif keyword == "anyOf":
            ok = any(valid(each, value, root) for each in rule)
        elif keyword == "not":
            ok = not valid(rule, value, root)
        elif keyword == "minimum":
            ok = not number or value >= rule
        elif keyword == "maximum":
            ok = not number or value <= rule
        elif keyword == "minLength":
            ok = not text or len(value) >= rule
        elif keyword == "maxLength":
            ok = not text or len(value) <= rule
        elif keyword == "pattern":
            ok = not text or re.search(rule, value) is not None
        elif keyword == "items":
            ok = not items or all(valid(rule, each, root) for each in value)
        elif keyword == "maxItems":
            ok = not items or len(value) <= rule
        elif keyword == "uniqueItems":
            ok = not items or not any(same(a, b) for i, a in enumerate(value) for b in value[:i])
        elif keyword == "required":
            ok = not table or all(key in value for key in rule)
        elif keyword == "maxProperties":
            ok = not table or len(value) <= rule
        elif keyword == "propertyNames":
            ok = not table or all(valid(rule, key, root) for key in value)
        elif keyword == "properties":
            ok = not table or all(valid(rule[key], each, root) for key, each in value.items() if key in rule)
        elif keyword == "additionalProperties":
            others = [each for key, each in value.items() if key not in schema.get("properties", {})] if table else []
            ok = not others if rule is False else all(valid(rule, each, root) for each in others)
        else:
            raise AssertionError(f"keyword {keyword} is not known to this test")
        if not ok:
            return False
    return True


def library_valid(schema, value):
    import jsonschema

    return jsonschema.Draft202012Validator(schema).is_valid(value)


def has_library():
    try:
        import jsonschema
    except ImportError:
        return False
    return hasattr(jsonschema, "Draft202012Validator")


# Where the library is there, both must say the same.
VALIDATORS = [lambda schema, value: valid(schema, value, schema)] + ([library_valid] if has_library() else [])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_schema_agrees_with_the_parser(case):
    expected = case.get("schema_valid", case["valid"])
    try:
        value = content(case)
    except NotJson:
        assert not expected
        return
    for check in VALIDATORS:
        assert check(SCHEMAS[case["file"]], value) == expected


def test_the_table_is_well_formed():
    assert len({case["id"] for case in CASES}) == len(CASES)
    assert sum(not case["valid"] for case in CASES) >= 80
    for case in CASES:
        assert ("json" in case) != ("text" in case), case["id"]
        assert case["file"] in SCHEMAS, case["id"]
        assert case["valid"] != ("error" in case), case["id"]
        assert ("schema_valid" in case) == ("reason" in case), case["id"]
        assert case.get("schema_valid") != case["valid"], case["id"]


def objects(schema):
    """Every part of a schema that lists properties."""
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_object_is_closed_and_every_key_described(name):
    root = SCHEMAS[name]
    for part in objects(root):
        assert part["additionalProperties"] is False
        for key, rule in part["properties"].items():
            named = "$ref" in rule and "description" in root["$defs"][rule["$ref"].removeprefix("#/$defs/")]
            assert "description" in rule or named, key


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_default_is_valid(name):
    root = SCHEMAS[name]
    found = 0
    for part in objects(root):
        for rule in part["properties"].values():
            if "default" in rule:
                found += 1
                for check in VALIDATORS:
                    assert check({**rule, "$defs": root["$defs"]}, rule["default"])
    assert found >= 5
