"""
The contract: what goes in and what comes out, one file a message.

Read `fields` for what a value may be, `wire` for how the two inputs are read fast, then the pydantic models, which
are the contract a stranger reads. `generate` turns them into `json/`, `asyncapi.yaml` and the checks of `examples/`.

Importing this package, `fields` or `wire` does not import pydantic: it takes a quarter of a second, and is needed
only to explain a refusal.
"""
