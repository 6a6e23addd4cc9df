"""Training and scoring of the CTC transformer on the datasets that `pipeline` writes."""

import os

import pipeline  # noqa: F401  # first, as it says which packages are missing

# Before anything imports TensorFlow or Keras. TensorFlow's remarks at start-up are of no use to someone who trains; its
# errors are.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
