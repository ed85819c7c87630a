from __future__ import annotations

from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from node.predicting import openapi


def test_the_description_is_openapi_3_1() -> None:
    validate(openapi.document(), cls=OpenAPIV31SpecValidator)


def test_it_says_of_every_value_what_it_is() -> None:
    schemas = openapi.document()["components"]["schemas"]
    assert schemas["Region"]["properties"]["polygon"]["description"].startswith("outline in pixels of the file")
    assert all(schema["additionalProperties"] is False for schema in schemas.values())
