"""Where models are computed: the one place that knows about devices.

TensorFlow computes on the CPU and on one GPU; JAX, the other backend of Keras, on TPUs and on several GPUs: one program
over all of them, each batch spread evenly (data parallel). `use` decides, before anything imports Keras. Setting
KERAS_BACKEND=jax chooses JAX on a CPU or one GPU too. `tf.data` reads and augments on the host, whatever computes.
"""

import importlib.util
import logging
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

from pipeline.common import native_output
from pipeline.common.errors import UserError
from pipeline.common.progress import console

DEVICES = ("auto", "cpu", "gpu", "tpu")
HELP = (
    "what computes: cpu, gpu (all there are), tpu, or auto: the TPU or the GPUs there are, else the CPU."
    " KERAS_BACKEND=jax in the environment chooses JAX for a CPU or one GPU too"
)


def use(device: str) -> None:
    """Makes Keras compute on `device`, one of DEVICES.

    Raises:
      UserError: there is no such device here, or a package for it is missing.
      RuntimeError: Keras was imported before, with another backend.
    """
    os.environ.update(environment(device, gpus=_num_gpus(), tpu=_tpu_is_here(), installed=_is_installed))
    with native_output.without_remarks():
        import keras

        if keras.backend.backend() == "tensorflow":
            keras.ops.zeros(())  # some is only said when something is computed

    logging.getLogger("tensorflow").addFilter(_is_no_warning_of_retracing)
    backend = keras.backend.backend()
    if backend != os.environ["KERAS_BACKEND"]:
        raise RuntimeError(f"keras was imported with {backend} before {os.environ['KERAS_BACKEND']} was chosen")
    if backend == "tensorflow":
        if os.environ.get("CUDA_VISIBLE_DEVICES") != "-1":  # a GPU was found
            _check_tensorflow_sees_the_gpu(device)
        return
    _hide_gpus_from_tensorflow()
    try:
        names = keras.distribution.list_devices()
    except RuntimeError as error:
        raise UserError(
            f"JAX cannot use what --device {device} asks for: {str(error).splitlines()[0]}; see that no other program"
            " uses it, or choose --device cpu"
        ) from error
    console.print(f"JAX computes on {len(names)} {names[0].partition(':')[0].upper()} device{'s' * (len(names) > 1)}")
    if len(names) > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names))


def _is_no_warning_of_retracing(record: logging.LogRecord) -> bool:
    """TensorFlow warns where shapes differ from batch to batch; here they should."""
    return "retracing" not in record.getMessage()


def describe() -> str:
    """What there is, and what `auto` would make Keras compute on; raises `UserError` as `use` does."""
    gpus, tpu = _num_gpus(), _tpu_is_here()
    chosen = environment("auto", gpus=gpus, tpu=tpu, installed=_is_installed)
    platforms = chosen.get("JAX_PLATFORMS", "")
    if chosen.get("CUDA_VISIBLE_DEVICES") == "-1":
        computes = "the CPU"
    else:
        computes = "the TPU" if platforms.startswith("tpu") else "all GPUs" if platforms else "one GPU"
    there = ["a TPU"] * tpu + [f"NVIDIA GPUs: {gpus}"] * bool(gpus)
    return f"{', '.join(there) or 'none'}; training uses {computes} ({chosen['KERAS_BACKEND']})"


def _check_tensorflow_sees_the_gpu(device: str) -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return
    said = "TensorFlow cannot use the GPU that nvidia-smi shows: pip install -e '.[train-gpu]'"
    if device == "gpu":
        raise UserError(f"--device gpu: {said}, or use --device cpu")
    console.print(f"note: {said}; computing on the CPU")


def _hide_gpus_from_tensorflow() -> None:
    """So that it, which only reads and augments, does not take their memory from JAX."""
    if _is_installed("tensorflow"):
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")


def environment(device: str, *, gpus: int, tpu: bool, installed) -> dict[str, str]:
    """Environment variables for Keras, JAX and TensorFlow to compute on `device`.

    Args:
      gpus: how many NVIDIA GPUs are visible.
      tpu: whether there is a TPU.
      installed: called with the name of a module, says whether it is installed.
    """
    jax_on_gpus = installed("jax_cuda12_plugin") or installed("jax_cuda13_plugin")
    if device == "auto":
        device = "tpu" if tpu and installed("libtpu") else "gpu" if gpus else "cpu"
        if device == "gpu" and gpus > 1 and not jax_on_gpus:
            console.print(f"note: one of {gpus} GPUs is used; all are with the extra train-gpus instead of train-gpu")
            gpus = 1
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    decides = device == "cpu" or (device == "gpu" and gpus == 1)
    if decides and backend not in ("tensorflow", "jax"):
        raise UserError(f"KERAS_BACKEND is {backend!r}, expected tensorflow or jax: unset it, or set it to one of them")
    if device == "cpu" and backend == "jax" and not installed("jax"):
        raise UserError("KERAS_BACKEND=jax, but JAX is not installed: pip install jax, or unset KERAS_BACKEND")
    if device == "cpu":
        return {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    if device == "tpu":
        if not (installed("jax") and installed("libtpu")):
            raise UserError("--device tpu needs JAX for TPUs: on a TPU VM, pip install -e '.[train-tpu]'")
        # The CPU too: Keras keeps some small numbers there. Without the first of them JAX refuses to start.
        return {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "tpu,cpu"}
    if not gpus:
        raise UserError("--device gpu: no NVIDIA GPU is visible (nvidia-smi -L); fix the driver, or use --device cpu")
    if gpus == 1 and backend == "tensorflow":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        return {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": visible}
    if not jax_on_gpus:
        why = "KERAS_BACKEND=jax" if gpus == 1 else f"{gpus} GPUs are visible, on which JAX trains"
        raise UserError(
            f"--device gpu: {why}, but JAX is not installed for GPUs: pip install -e '.[train-gpus]', or choose one GPU"
            " for TensorFlow with CUDA_VISIBLE_DEVICES=0"
        )
    return {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cuda,cpu"}


def compiled() -> bool:
    """Whether XLA compiles the model: then every batch is to have one shape, and the dense CTC kernel is used.

    JAX is nothing without it. TensorFlow does without: its sparse CTC kernel is not for XLA, and batches may then be as
    short as their longest clip.
    """
    import keras

    return keras.backend.backend() == "jax"


def pad_to(max_frames: int) -> int | None:
    """The frames to pad every batch to, None for those of its longest clip."""
    return max_frames if compiled() else None


def count() -> int:
    """How many devices share a batch."""
    import keras

    distribution = keras.distribution.distribution()
    return distribution.num_model_replicas if distribution else 1


def check_batch_size(batch_size: int) -> None:
    """Raises `UserError` where the devices cannot share a batch evenly."""
    if batch_size % count():
        raise UserError(f"optimizer.batch_size is {batch_size}, expected a multiple of the {count()} devices")


def share(batch: dict[str, Any]) -> dict[str, Any]:
    """The arrays of a batch, each device holding its share of the rows. (Keras' `fit` does this itself.)"""
    import keras

    distribution = keras.distribution.distribution()
    if distribution is None:
        return batch
    return {
        name: keras.distribution.distribute_tensor(array, distribution.get_data_layout(array.shape))
        for name, array in batch.items()
    }


def _num_gpus() -> int:
    """NVIDIA GPUs that the driver finds and CUDA_VISIBLE_DEVICES leaves."""
    if not shutil.which("nvidia-smi"):
        return 0
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = sum(line.startswith("GPU ") for line in done.stdout.splitlines())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    return min(found, sum(bool(name.strip()) and name.strip() != "-1" for name in visible.split(",")))


def _tpu_is_here() -> bool:
    return any(next(pathlib.Path("/dev").glob(pattern), None) for pattern in ("accel[0-9]*", "vfio/[0-9]*"))


def _is_installed(module: str) -> bool:
    return module in sys.modules or importlib.util.find_spec(module) is not None
