"""Scores of predictions, their table, and what it tells."""
