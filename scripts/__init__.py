"""What is run from a checkout: the whole path, checks of the machine, benchmarks."""

import pipeline  # noqa: F401  # first, as it says which packages are missing
