"""Benchmarks: python -m scripts.benchmarks.NAME. Ratios within one run count, not single times."""
