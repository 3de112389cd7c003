"""The smallest manifest that is right, to be broken in one place."""

GOOD = """\
applications:
  a:
    revision: {s3: {bucket: acme-bundles, key: a.zip}}
    deployment_groups: [x]
"""


def app(line: str) -> str:
    """The good manifest with one more line in its application: line 5, unless something stands before it."""
    return f"{GOOD}    {line}\n"


def top(line: str) -> str:
    """The good manifest below another line."""
    return f"{line}\n{GOOD}"
