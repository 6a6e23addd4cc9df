"""The distribution `fingerspelling`; Beam workers install only the base requirements and the extra `beam`.

Which versions CI and the scripts install is in scripts/constraints.txt.
"""

from setuptools import find_packages, setup

BEAM = ["apache-beam[gcp,dask]>=2.70,<3"]
TRAIN = ["keras>=3.12,<4", "python-Levenshtein>=0.26,<1"]
INFERENCE = ["ai-edge-litert>=2.0,<3", "python-Levenshtein>=0.26,<1"]

setup(
    name="fingerspelling",
    version="0.1.0",
    description="From hand, face and body landmarks to text: conversion, training and TFLite export",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["pipeline*", "training*", "inference*"]),
    package_data={"inference": ["web/*"], "inference.visuals": ["page.html.j2", "page.css", "*.js"]},
    install_requires=[
        "google-crc32c>=1.5,<2",
        "isal>=1.6,<2",
        "numpy>=1.26,<3",
        "protobuf>=4.25,<7",
        "pyarrow>=17,<26",
        "rich>=13,<16",
    ],
    extras_require={
        "beam": BEAM,
        # gs:// paths without Beam, which brings it too.
        "cloud": ["google-cloud-storage>=2.18.2,<4"],
        "train-cpu": [*TRAIN, "tensorflow-cpu>=2.20,<2.22"],
        "train-gpu": [*TRAIN, "tensorflow[and-cuda]>=2.20,<2.22"],
        # On several GPUs, and on TPUs, Keras computes with JAX; tf.data still reads and augments, on the host.
        "train-gpus": [*TRAIN, "tensorflow-cpu>=2.20,<2.22", "jax[cuda12]>=0.5,<1"],
        "train-tpu": [*TRAIN, "tensorflow-cpu>=2.20,<2.22", "jax[tpu]>=0.5,<1"],
        "inference": INFERENCE,
        # The page of inference.visualize, the pictures of inference.draw and inference.budget.
        "report": ["bokeh>=3.6,<4", "jinja2>=3.1,<4", "matplotlib>=3.8,<4"],
        "test": [
            "gcp-storage-emulator>=2026.7,<2027",
            "hypothesis>=6,<7",
            "import-linter>=2.5,<3",
            "ipykernel>=6.29,<8",
            "mypy>=1.10,<3",
            "nbclient>=0.10,<1",
            # An independent CTC loss, and with it JAX on the CPU.
            "optax>=0.2.4,<1",
            # A notebook's way, in benchmarks of conversion.
            "pandas>=2.2,<4",
            # Drives a browser that is installed, such as Debian's package chromium.
            "playwright>=1.50,<2",
            "pytest>=8,<10",
            "pytest-xdist>=3.6,<4",
            "ruff>=0.9,<1",
        ],
    },
)
