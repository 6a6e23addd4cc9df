import collections
import hashlib
import inspect
import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from inference.recognizer import ARGUMENTS, MODEL, RECOGNIZE, SERVING, Recognizer, as_inputs
from inference.tflite import conversion
from inference.window import FIXED
from pipeline.common import directories
from pipeline.dataset.dataset import Dataset
from pipeline.tasks.fingerspelling import COLUMNS, Fingerspelling
from training.config import PRESETS, Config
from training.data.corpus import Corpus
from training.network.encoders import Conformer
from training.network.model import Model
from training.predict import clip_outputs, predict, prediction

TASK = Fingerspelling()
MAX_FRAMES = 16
# The same length twice in a row, too: there LiteRT has gone wrong.
LENGTHS = (5, 0, 1, 1, 5, 5, 15, 16, 16, 17, 40, 40, 200, 16, 0, 0, 5)


@pytest.fixture(scope="module")
def recognizer(toy_model):
    return Recognizer(toy_model)


@pytest.fixture
def interpreter(toy_model):
    return Interpreter(model_path=str(toy_model / MODEL))


def operators(content):
    """Name, inputs and outputs of each operator, of each subgraph in turn."""
    model = schema.Model.GetRootAs(content, 0)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    for index in range(model.SubgraphsLength()):
        subgraph = model.Subgraphs(index)
        found = []
        for each in map(subgraph.Operators, range(subgraph.OperatorsLength())):
            name = names[model.OperatorCodes(each.OpcodeIndex()).BuiltinCode()]
            found.append((name, each.InputsAsNumpy().tolist(), each.OutputsAsNumpy().tolist()))
        yield subgraph, found


def test_signatures(interpreter):
    """That of the competition, any number of frames, and a second one for the recognizer."""
    expected = {
        SERVING: {"outputs": ([-1, 59], np.float32)},
        RECOGNIZE: {
            "outputs": ([-1, 60], np.float32),
            "classes": ([-1], np.int32),
            "probabilities": ([-1], np.float32),
        },
    }
    assert interpreter.get_signature_list().keys() == expected.keys()
    for name, outputs in expected.items():
        runner = interpreter.get_signature_runner(name)
        ends = [
            {key: (each["shape_signature"].tolist(), each["dtype"]) for key, each in end.items()}
            for end in (runner.get_input_details(), runner.get_output_details())
        ]
        assert ends == [{"inputs": ([-1, 200], np.float32)}, outputs]


def test_arguments(toy_model):
    arguments = directories.read_json(toy_model / ARGUMENTS)
    model_sha256 = hashlib.sha256((toy_model / MODEL).read_bytes()).hexdigest()
    fixed_sha256 = hashlib.sha256((toy_model / FIXED).read_bytes()).hexdigest()
    sums = {"model_sha256": model_sha256, "fixed_sha256": fixed_sha256}
    assert arguments == {"selected_columns": list(COLUMNS), "task": TASK.as_json(), **sums}


def test_only_built_in_operators(toy_model):
    model = schema.Model.GetRootAs((toy_model / MODEL).read_bytes(), 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert len(codes) > 20
    assert not [code for code in codes if code.CustomCode() or code.BuiltinCode() == schema.BuiltinOperator.CUSTOM]


def test_the_file_says_what_the_trained_model_says(recognizer, trained, toy_dataset):
    clips = list(Dataset.open(toy_dataset).read("test"))
    corpus = Corpus.of_clips(clips, TASK)
    labels = predict(trained, corpus, max_frames=MAX_FRAMES)
    assert len(set(labels)) > 1
    for position, outputs in clip_outputs(trained, corpus, max_frames=MAX_FRAMES):
        landmarks = clips[position].landmarks
        np.testing.assert_allclose(recognizer.outputs(landmarks), outputs, atol=1e-4)
        assert recognizer.answer(landmarks) == labels[position] == prediction(trained, outputs)


@pytest.mark.parametrize("num_frames", sorted(set(LENGTHS)))
def test_any_number_of_frames(interpreter, recognizer, noise, num_frames):
    outputs = recognizer.outputs(noise(num_frames))
    assert outputs.shape == (min(max(num_frames, 1), MAX_FRAMES), 60)
    assert np.isfinite(outputs).all()
    rows = interpreter.get_signature_runner(SERVING)(inputs=as_inputs(noise(num_frames), TASK))["outputs"]
    assert len(rows) >= 1
    np.testing.assert_array_equal(rows.sum(axis=1), 1)


def first_subgraph(interpreter, clips):
    """What a program does that knows of no signatures; another environment runs it too."""
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    for clip in clips:
        interpreter.resize_tensor_input(inputs["index"], clip.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(inputs["index"], clip)
        interpreter.invoke()
        yield interpreter.get_tensor(outputs["index"]).argmax(axis=1).tolist()


def said(classes):
    """The label of an answer; a lone filler stands for none."""
    return "" if classes == [TASK.contract.filler] else TASK.decode(classes)


@pytest.mark.parametrize("kernels", ["AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"])
def test_the_first_subgraph_is_that_of_the_competition(toy_model, recognizer, noise, kernels):
    """For runtimes that know of no signatures; with XNNPACK and without."""
    for _ in range(5):  # what LiteRT gets wrong, it gets wrong in some interpreters
        interpreter = Interpreter(
            model_path=str(toy_model / MODEL), experimental_op_resolver_type=OpResolverType[kernels]
        )
        assert [each["shape_signature"].tolist() for each in interpreter.get_output_details()] == [[-1, 59]]
        clips = [noise(num_frames, seed) for seed, num_frames in enumerate(LENGTHS)]
        found = [said(each) for each in first_subgraph(interpreter, [as_inputs(clip, TASK) for clip in clips])]
        assert found == [recognizer.answer(clip) for clip in clips]
        assert len(set(found)) > 5


@pytest.fixture(scope="module")
def tflite_runtime(tmp_path_factory):
    """The Python of an environment with tflite-runtime 2.14, the last one, which has none for Python 3.12 and later."""
    if sys.version_info >= (3, 12):
        pytest.skip(f"NOT CHECKED with tflite-runtime: it has no wheel for Python {sys.version.split()[0]}")
    folder = tmp_path_factory.mktemp("tflite-runtime")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    install = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:"]
    done = subprocess.run([*install, "tflite-runtime==2.14.0", "numpy<2"], capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1]
        pytest.skip(f"NOT CHECKED with tflite-runtime: pip cannot install 2.14.0 ({last})")
    return python


@pytest.mark.long
def test_another_runtime_gives_the_same_answers(tflite_runtime, toy_model, recognizer, noise, tmp_path):
    clips = [noise(num_frames, seed) for seed, num_frames in enumerate(LENGTHS)]
    np.savez(tmp_path / "clips.npz", *(as_inputs(clip, TASK) for clip in clips))
    script = textwrap.dedent("""
        import json, sys
        import numpy as np
        from tflite_runtime.interpreter import Interpreter, OpResolverType
        model, clips = sys.argv[1:]
        with np.load(clips) as arrays:
            clips = [arrays[f"arr_{i}"] for i in range(len(arrays.files))]
        kinds = OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreters = [Interpreter(model, experimental_op_resolver_type=each) for each in kinds]
        print(json.dumps([list(first_subgraph(each, clips)) for each in interpreters]))
    """)
    words = [
        tflite_runtime,
        "-c",
        inspect.getsource(first_subgraph) + script,
        toy_model / MODEL,
        tmp_path / "clips.npz",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = [recognizer.answer(clip) for clip in clips]
    assert [[said(each) for each in found] for found in json.loads(done.stdout)] == [expected] * 2


@pytest.mark.parametrize("signature", [SERVING, RECOGNIZE])
def test_clips_of_other_lengths_between_change_nothing(interpreter, noise, signature):
    """The interpreter resizes its tensors from clip to clip."""
    runner = interpreter.get_signature_runner(signature)
    before = runner(inputs=as_inputs(noise(12), TASK))
    for num_frames in (0, 50):
        runner(inputs=as_inputs(noise(num_frames), TASK))
    np.testing.assert_equal(runner(inputs=as_inputs(noise(12), TASK)), before)


@pytest.fixture(scope="module", params=["toy model", "conformer"])
def converted(request, toy_dataset, toy_model, tmp_path_factory):
    """The file of the trained toy model, of the published encoder; and that of a Conformer, untrained."""
    if request.param == "toy model":
        return toy_model / MODEL
    keras.utils.set_random_seed(0)
    dataset = Dataset.open(toy_dataset)
    encoder = Conformer(width=12, blocks=1, heads=2, halved_after="stem")
    model = Model(Config(encoder=encoder), TASK, dataset.mean, dataset.std)
    model.build()
    place = tmp_path_factory.mktemp("conformer")
    conversion.convert(model, MAX_FRAMES, place, weights="float32")
    return place / MODEL


@pytest.mark.parametrize("signature", [SERVING, RECOGNIZE])
def test_a_second_clip_of_the_same_length_is_not_mistaken(converted, signature):
    """LiteRT may go wrong there where a shape comes to be known only in the run; not in every interpreter."""
    random = np.random.default_rng(0)
    kept = []
    for num_frames in (1, 5, 14, 16, 40):
        first, second = random.random((2, num_frames, 200)).astype(np.float32)
        for _ in range(6):
            kept.append(Interpreter(model_path=str(converted)))
            runner = kept[-1].get_signature_runner(signature)
            alone = runner(inputs=first)
            runner(inputs=second)
            for _ in range(2):
                np.testing.assert_equal(runner(inputs=first), alone)


def test_every_shape_of_the_network_is_known_before_a_run(converted):
    """A tensor without memory before the run gets its shape from a number computed in it: only what comes after."""
    content = converted.read_bytes()
    _, found = next(operators(content))
    without_delegates = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=without_delegates)
    (inputs,) = interpreter.get_input_details()

    def allocated(tensor):
        try:
            interpreter.get_tensor(tensor)
        except ValueError:
            return False
        return True

    interpreter.resize_tensor_input(inputs["index"], [12, 200])
    interpreter.allocate_tensors()
    known = [all(map(allocated, outputs)) for _, _, outputs in found]
    cut = known.index(False)
    assert found[cut][0] == "STRIDED_SLICE"
    computing = {"FULLY_CONNECTED", "DEPTHWISE_CONV_2D", "CONV_2D", "BATCH_MATMUL"}
    last = max(index for index, (name, *_) in enumerate(found) if name in computing)
    assert len([name for name, *_ in found if name in computing]) > 10
    assert last < cut


def test_infinite_is_missing(recognizer, noise):
    missing, infinite = noise(12), noise(12)
    missing[3:6, 50:60, 0] = np.nan
    infinite[3:5, 50:60, 0] = np.inf
    infinite[5, 50:60, 0] = -np.inf
    np.testing.assert_array_equal(recognizer.outputs(infinite), recognizer.outputs(missing))


@pytest.fixture(scope="module")
def stored(trained, tmp_path_factory):
    """Directories of exports by how weights are stored."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("float16", "int8")}
    for name, place in places.items():
        conversion.convert(trained, MAX_FRAMES, place, weights=name)
    return places


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_stored_weights(trained, stored, failed, weights):
    # Of an untrained network a label says nothing: only outputs, shapes and the file.
    assert failed(trained, stored[weights], weights=weights, loss=1.0) == {}


def test_what_int8_stores(stored, toy_model):
    """Weights of dense layers are int8, but for tensors of at most 1,024 numbers, which stay as they are."""

    def kinds(directory):
        found = collections.Counter()
        for subgraph, of_graph in operators((directory / MODEL).read_bytes()):
            for name, inputs, _ in of_graph:
                if name == "FULLY_CONNECTED":
                    tensor = subgraph.Tensors(inputs[1])
                    found[tensor.Type(), int(np.prod(tensor.ShapeAsNumpy())) > 1024] += 1
        return found

    before, after = kinds(toy_model), kinds(stored["int8"])
    small, large = (schema.TensorType.FLOAT32, False), (schema.TensorType.FLOAT32, True)
    assert before.keys() == {small, large}
    assert after == {small: before[small], (schema.TensorType.INT8, True): before[large]}


@pytest.mark.long
@pytest.mark.parametrize(("weights", "megabytes"), [("float16", 40), ("int8", 17)])
def test_the_published_final_network_fits_the_competition(toy_dataset, tmp_path, failed, weights, megabytes):
    keras.utils.set_random_seed(0)
    dataset = Dataset.open(toy_dataset)
    config = PRESETS["final"]
    model = Model(config, TASK, dataset.mean, dataset.std)
    model.build()
    frames = config.data.max_frames
    conversion.convert(model, frames, tmp_path, weights=weights)
    assert failed(model, tmp_path, weights=weights, max_frames=frames, size_mb=megabytes, loss=1.0) == {}


@pytest.mark.parametrize("channels", [128, 1500])
def test_filters_become_numbers_again(channels):
    """Against the same filters, never quantized: off by at most half a step of int8."""
    import tensorflow as tf

    filters = tf.constant(np.random.default_rng(0).normal(size=(1, 11, channels, 1)).astype(np.float32))
    signature = tf.TensorSpec((1, 1, 30, channels), tf.float32, name="x")
    function = tf.function(lambda x: tf.nn.depthwise_conv2d(x, filters, [1, 1, 1, 1], "VALID"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(signature)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    interpreter = Interpreter(model_content=conversion.with_float_filters(converter.convert()))
    runner = interpreter.get_signature_runner() if interpreter.get_signature_list() else None
    x = np.zeros((1, 1, 30, channels), np.float32)
    x[0, 0, 15] = 1
    if runner:
        (found,) = runner(x=x).values()
    else:
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    steps = np.abs(filters.numpy()).max(axis=(0, 1, 3)) / 127
    assert (np.abs(found - function(tf.constant(x)).numpy()).max(axis=(0, 1, 2)) <= 0.51 * steps).all()
