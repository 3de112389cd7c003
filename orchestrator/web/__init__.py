"""The page and the report: runs as HTML and SVG. Drawing is pure: no I/O, no clock, no script."""
