"""The engine and what it stands on: standard library and anyio only."""
