"""Export to TFLite, and recognition with LiteRT alone."""
