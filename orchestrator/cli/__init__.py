"""The commands: arguments in, output and exit code out. The only place that prints.

Every command imports what it needs when it runs, so that `--help`, completion and `validate` feel instant.
"""
