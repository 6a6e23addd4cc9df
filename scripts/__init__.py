"""What is run from a checkout: the whole path, checks of the machine, benchmarks."""
