import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "pipeline").rglob("*.py")
    if path.stem not in ("__init__", "transforms")
)


def test_the_pipeline_needs_neither_tensorflow_nor_beam():
    """Workers install only the base requirements; who only reads a dataset needs no Beam."""
    assert {"pipeline.convert", "pipeline.synthesis.motion"} <= set(MODULES)
    script = f"""
import importlib, sys
for name in {MODULES}:
    importlib.import_module(name)
print(sorted({{"tensorflow", "keras", "apache_beam", "jax", "torch"}} & sys.modules.keys()))
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
