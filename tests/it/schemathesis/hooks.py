"""What schemathesis does not know of the program: ids of what is there, and what every answer must be."""
import json
import os
import random
import re

import schemathesis

# Values of arguments and parameters by name: what is there, and is the caller's or another's.
KNOWN = json.loads(os.environ["KNOWN"])


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Names something that is there in half of the requests."""
    if random.random() < 0.5:
        return
    for name, values in KNOWN.items():
        value = random.choice(values)
        if case.path_parameters and name in case.path_parameters:
            case.path_parameters[name] = value
        if isinstance(case.body, dict):
            if name in case.body:
                case.body[name] = value
        elif isinstance(case.body, str):
            case.body = re.sub(rf'\b{name}: "[^"\n]*"', f'{name}: "{value}"', case.body)


@schemathesis.check
def graphql_answers(ctx, response, case):
    """A document is answered with data or with errors that have a code, and no fault of the server is among them."""
    assert response.status_code == 200, f"status {response.status_code}: {response.text[:500]}"
    for error in response.json().get("errors") or []:
        code = (error.get("extensions") or {}).get("code")
        assert code and re.fullmatch("[a-z_]+", code), f"no code: {error}"
        assert code not in ("internal_error", "busy", "no_space"), f"a fault: {error}"


@schemathesis.check
def problems_are_problems(ctx, response, case):
    """What is refused is told in a problem document with a stable code."""
    if response.status_code < 400 or (response.status_code == 503 and case.path == "/readyz"):
        return
    assert response.headers["content-type"] == ["application/problem+json"], response.headers
    if case.method.upper() != "HEAD":
        problem = response.json()
        assert problem["status"] == response.status_code, problem
        assert re.fullmatch("[a-z_0-9]+", problem["code"]), problem
