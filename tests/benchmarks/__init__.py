"""What the issues set as speed, measured: figures beside their targets and baselines, and no tests.

`python -m tests.benchmarks` runs all, `python -m tests.benchmarks start dag` those two.
"""
