"""What goes into a bundle, with sizes: for people who wonder what makes it so large."""

from __future__ import annotations

import click

from orchestrator.bundle.entries import Entry
from orchestrator.bundle.source import Bundle, largest
from orchestrator.wording.text import one_line, plural, size

LARGEST = 10
_WIDTH = 9


def show_bundle(bundle: Bundle) -> None:
    """Every entry in the archive's order, then the largest files, and what the ignore rules keep out."""
    for entry in bundle.entries:
        click.echo(_line(entry))
    files = [entry for entry in bundle.entries if entry.kind == "file"]
    of_all = plural(len(bundle.entries), "entry", "entries")
    click.echo(f"\n{of_all}, {plural(len(files), 'file')} with {size(bundle.total_size)} in all, as {bundle.format}")
    if len(files) > 1:
        found = largest(bundle, LARGEST)
        click.echo("\nlargest:" if len(files) > LARGEST else "\nlargest first:")
        for entry in found:
            click.echo(_line(entry))
    if bundle.tree is not None and bundle.tree.left_out:
        click.echo("\nleft out:")
        for path in sorted(bundle.tree.left_out):
            click.echo(f"{'':{_WIDTH}}  {one_line(path)}")


def _line(entry: Entry) -> str:
    name = one_line(entry.path)
    match entry.kind:
        case "dir":
            return f"{'':{_WIDTH}}  {name}/"
        case "symlink":
            return f"{'link':>{_WIDTH}}  {name} -> {one_line(entry.target)}"
        case "file":
            executable = "*" if entry.mode & 0o111 else ""
            return f"{size(entry.size):>{_WIDTH}}  {name}{executable}"
        case "special":
            return f"{'special':>{_WIDTH}}  {name}"
