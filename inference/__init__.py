"""Export to TFLite, and recognition with LiteRT alone."""

import pipeline  # noqa: F401  # first, as it says which packages are missing
