"""Training and scoring of the CTC transformer on the data sets that `pipeline` writes."""
