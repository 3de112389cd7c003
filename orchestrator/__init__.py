"""Releases of many services on AWS CodeDeploy: one manifest, one run, nothing lost."""

__version__ = "0.1.0"
