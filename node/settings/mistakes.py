"""What is wrong with a setting, as one plain sentence: the key, the value, what is allowed. A secret is never named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from node.errors import ConfigurationError
from node.settings.base import section_of

PREFIX = "READFIRST_"
_OURS = ("READFIRST_TORCH",)  # no settings: deploy/install reads it
# Kubernetes and Docker give these to every container beside a service called readfirst
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
_SECRET = ("token", "url")  # ends of keys; a URL may have a password in it
_LONGEST = 60  # characters of a value that are shown

_ALLOWED: Mapping[str, Callable[[Any], str]] = {  # by pydantic's name of the error, from its context and input
    "greater_than_equal": lambda item: f"write {item['ctx']['ge']} or more",
    "greater_than": lambda item: f"write more than {item['ctx']['gt']}",
    "less_than_equal": lambda item: f"write {item['ctx']['le']} or less",
    "less_than": lambda item: f"write less than {item['ctx']['lt']}",
    "string_too_short": lambda item: _count(item["ctx"]["min_length"], "or more"),
    "string_too_long": lambda item: _count(item["ctx"]["max_length"], "or fewer"),
    "string_type": lambda item: "write text in quotes",
    "path_type": lambda item: "write a path in quotes",
    "bool_type": lambda item: "write true or false",
    "bool_parsing": lambda item: "write true or false",
    "tuple_type": lambda item: f"write a list{_as_list(item['input'])}",
    "ip_any_network": lambda item: 'write an address or a network, for example "10.0.0.5" or "10.1.0.0/16"',
    "literal_error": lambda item: _one_of(item["ctx"]["expected"], item["input"]),
    "dict_type": lambda item: "write a table",
    "model_type": lambda item: "write a table",
    "missing": lambda item: "it is missing",
}


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The known name that is nearly the given one, as the end of a sentence; nothing where none is."""
    near = get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else ""


def sentences(error: ValidationError, settings: type[BaseModel]) -> str:
    """All that is wrong, each as `key is value: what is allowed`."""
    return "; ".join(dict.fromkeys(_sentence(item, settings) for item in _of_one_type(error.errors())))


def refuse_unknown_variables(settings: type[BaseModel]) -> None:
    """pydantic-settings passes over variables of unknown sections; a typing mistake must not go unseen.

    Raises
    ------
    ConfigurationError
        Names the variable, and the one that it nearly is.
    """
    for variable, value in os.environ.items():
        name = variable.upper()
        if name.startswith(PREFIX) and not is_setting(variable, settings) and not _is_no_setting(name, value):
            known = [f"{PREFIX}{key.upper().replace('.', '__')}" for key, _ in _all_keys(settings)]
            raise ConfigurationError(f"the environment: {variable} is no setting{did_you_mean(name, known)}")


def is_setting(variable: str, settings: type[BaseModel]) -> bool:
    """Whether a variable of the environment gives a setting, or a whole table as JSON."""
    section = variable.lower().removeprefix(PREFIX.lower()).partition("__")[0]
    return variable.upper().startswith(PREFIX) and section in settings.model_fields


def no_json(error: SettingsError) -> str:
    """A variable that should hold a list or a table, and does not."""
    section = re.search(r'field "(\w+)"', str(error))
    prefix = f"{PREFIX}{section[1] if section else ''}".upper()
    names = ", ".join(sorted(one for one in os.environ if one.upper().startswith(prefix)))
    return (
        f"the environment: {names}: write lists and tables as JSON, as in READFIRST_MODELS__PACKAGES='[\"chest-ct\"]'"
    )


def _is_no_setting(name: str, value: str) -> bool:
    """It belongs to another program, though it begins like ours."""
    address = name.endswith("_PORT") and _SERVICE_ADDRESS.match(value)
    return name in _OURS or bool(address or _SERVICE_LINK.search(name))


def _sentence(item: Any, settings: type[BaseModel]) -> str:
    keys = [part for part in item["loc"] if part not in ("[key]", "bool", "Tls")]
    key = ".".join(map(str, keys))
    if item["type"] == "extra_forbidden":
        return f"unknown key {key}{_near_key(keys, settings)}"
    if item["type"] == "missing":
        field = _fields(keys, settings).get(str(keys[-1]))
        return f"{key} is missing" + (f": {field.description}" if field and field.description else "")
    allowed = _ALLOWED.get(item["type"], _in_pydantics_words)(item)
    return f"{key}{_shown(item, keys)}: {allowed}" if key else allowed


def _in_pydantics_words(item: Any) -> str:
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    if kind.startswith(("int_", "float_", "finite_")):
        return "write a whole number" if kind.startswith("int_") else "write a number"
    return str(message)


def _shown(item: Any, keys: list[Any]) -> str:
    """The value that was given, where it is one value and no secret."""
    value = item["input"]
    secret = any(str(part).endswith(_SECRET) for part in keys[-2:]) or item["type"] in ("model_type", "dict_type")
    if secret or isinstance(value, dict | list | tuple | BaseModel) or item["loc"][-1:] == ("[key]",):
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f" is {text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}"


def _of_one_type(items: Iterable[Any]) -> Iterator[Any]:
    """Where a key is true, false or a table, pydantic finds it to be wrong as either: what was meant counts."""
    for item in items:
        kind, is_table = item["loc"][-1:], isinstance(item["input"], dict)
        if (kind == ("bool",) and is_table) or (kind == ("Tls",) and not is_table):
            continue
        yield item


def _near_key(keys: list[Any], settings: type[BaseModel]) -> str:
    """A sibling with nearly this name, else the tables that have such a key."""
    *table, name = map(str, keys)
    known = _fields(table, settings)
    if near := did_you_mean(name, known):
        return near.replace("mean ", f"mean {''.join(f'{part}.' for part in table)}")
    others = [key for key, _ in _all_keys(settings) if key.rpartition(".")[2] == name]
    if others:
        return f": did you mean {' or '.join(others[:3])}?"
    return f"; the keys there are {', '.join(known)}"


def _fields(keys: Iterable[Any], settings: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of the innermost table that `keys` lead to; names of tables and numbers in lists are passed over."""
    section = settings
    for key in keys:
        field = section.model_fields.get(str(key))
        section = (section_of(field.annotation) if field else None) or section
    return section.model_fields


def _all_keys(settings: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Each key with its tables before it; NAME where a table has any name."""
    for name, field in settings.model_fields.items():
        inner = section_of(field.annotation)
        yield f"{prefix}{name}", field
        if inner is not None:
            named = "NAME." if str(field.annotation).startswith("dict") else ""
            yield from _all_keys(inner, f"{prefix}{name}.{named}")


def _one_of(expected: str, given: Any) -> str:
    known = re.findall(r"'([^']*)'", expected)
    near = did_you_mean(given, known) if isinstance(given, str) else ""
    return f"write {expected.replace(chr(39), chr(34))}{near}"


def _as_list(given: Any) -> str:
    return f', for example ["{given}"]' if isinstance(given, str) else ""


def _count(characters: int, more: str) -> str:
    return f"write {characters} character{'s' * (characters != 1)} {more}"
