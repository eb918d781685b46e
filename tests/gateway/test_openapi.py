"""How operations are described, without an app."""

from gateway.openapi import component_of, describe, error_statuses


def test_the_first_sentence_is_the_summary() -> None:
    operation = {
        "description": "Lists things,\nnewest first. At most ten.\n\nMore.",
        "responses": {},
    }
    described = describe("/things", "get", operation)
    assert described["summary"] == "Lists things, newest first"
    assert described["description"] == "At most ten.\n\nMore."
    assert "description" not in describe("/things", "get", {"description": "One.", "responses": {}})


def test_an_operation_keeps_its_own_answers() -> None:
    own = {"200": {"description": "fine"}, "503": {"description": "own"}}
    described = describe("/x", "get", {"description": "One.", "responses": own})
    assert described["responses"]["503"] == {"description": "own"}
    assert described["responses"]["429"] == {"$ref": "#/components/responses/TooManyRequests"}


def test_statuses_follow_from_the_operation() -> None:
    always = {"429", "4XX", "503", "504", "5XX"}
    assert set(error_statuses("/x", "get", {})) == always
    deletion = {"parameters": [1], "security": [1]}
    statuses = set(error_statuses("/x/{id}", "delete", deletion))
    assert statuses == always | {"400", "422", "401", "403", "404", "409"}
    assert {"413", "404"} <= set(error_statuses("/x", "post", {"requestBody": {}}))
    assert component_of("404") == "NotFound" and component_of("5XX") == "ServerError"
