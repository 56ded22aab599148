"""Names, order and shapes of what is exported; own networks; networks that ONNX cannot hold."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import Decoder, Encoder, images, keras_colour

from examples import conv
from shared.beyond import export, onnx_files
from shared.command.implementation import import_beyond
from shared.command.line import main
from shared.config import recipe
from shared.machine.checks import UsageError
from shared.run.folder import read_config

POSTERIORS = {"gaussian": ["z_mean", "z_log_var"], "delta": ["z_mean"]}


@pytest.fixture(params=POSTERIORS)
def posterior(request):
    return request.param


@pytest.fixture
def small(implementation, posterior, tmp_path):
    """(posterior, implementation, exporter, model): an untrained dense model of 36 pixels."""
    config = recipe("post-keras", hidden_dims=(8,), latent_dim=3, posterior=posterior)
    model = implementation.build(config, 36)
    return posterior, implementation, import_beyond(implementation.name, "export"), model


def signatures(module):
    """{endpoint: ({input name: shape}, {output name: shape})} of a loaded SavedModel."""
    return {
        name: (
            {key: each.shape.as_list() for key, each in f.structured_input_signature[1].items()},
            {key: each.shape.as_list() for key, each in f.structured_outputs.items()},
        )
        for name, f in module.signatures.items()
    }


def test_both_endpoints_have_the_same_names_and_shapes(small, tmp_path):
    posterior, _, exporter, model = small
    exporter.export(model, tmp_path)
    q = {name: [None, 3] for name in POSTERIORS[posterior]}
    x = np.random.RandomState(0).uniform(size=(5, 36)).astype(np.float32)
    for part, given, inputs, outputs in (
        ("encoder", x, {"x": [None, 36]}, q),
        ("decoder", x[:, :3], {"z": [None, 3]}, {"x": [None, 36]}),
    ):
        module = tf.saved_model.load(tmp_path / part)
        both = dict.fromkeys(("serve", "serving_default"), (inputs, outputs))
        assert signatures(module) == both
        # `serve` is also an attribute, which takes its input without its name.
        served, (name,) = module.serve(given), inputs
        default = module.signatures["serving_default"](**{name: tf.constant(given)})
        assert served.keys() == default.keys() == outputs.keys()
        assert all(np.array_equal(served[key], default[key]) for key in outputs)


@pytest.mark.extras
def test_onnx_outputs_are_in_the_documented_order(small, tmp_path):
    import onnxruntime

    posterior, _, exporter, model = small
    exporter.export(model, tmp_path, onnx=True)
    q = [(name, ["batch", 3]) for name in POSTERIORS[posterior]]
    for part, inputs, outputs in (
        ("encoder", [("x", ["batch", 36])], q),
        ("decoder", [("z", ["batch", 3])], [("x", ["batch", 36])]),
    ):
        session = onnxruntime.InferenceSession(tmp_path / f"{part}.onnx")
        assert [(each.name, each.shape) for each in session.get_inputs()] == inputs
        assert [(each.name, each.shape) for each in session.get_outputs()] == outputs


def test_signature_json_says_what_the_files_take_and_return(small, tmp_path):
    posterior, implementation, exporter, model = small
    values = {"seed": 0, "data": {"name": "own", "image_shape": [6, 2, 3]}}
    export.export_run(tmp_path, implementation, exporter, model, 36, values)
    written = json.loads((tmp_path / "exported" / "signature.json").read_text(encoding="utf-8"))
    files = {path.name for path in (tmp_path / "exported").iterdir()} - {"signature.json"}
    assert set(written["files"]) == files
    for part in ("encoder", "decoder"):
        module = tf.saved_model.load(tmp_path / "exported" / part)
        found = signatures(module)["serving_default"]
        for kind, named in zip(("inputs", "outputs"), found, strict=True):
            listed = written[part][kind]
            assert {t["name"]: [None, *t["shape"][1:]] for t in listed} == named
            assert all(t["dtype"] == "float32" and t["shape"][0] == "batch" for t in listed)
    names = [tensor["name"] for tensor in written["encoder"]["outputs"]]
    assert names == POSTERIORS[posterior]
    assert written["pixels"]["image_shape"] == [6, 2, 3] and written["run"] == values


def named_pair():
    """Keras models that are called encoder and decoder, with other names of inputs."""
    x, z = keras.Input((192,), name="pixels"), keras.Input((3,), name="code")
    heads = [keras.layers.Dense(3, name=name)(x) for name in ("a", "b")]
    logits = keras.layers.Dense(192)(z)
    return (
        keras.Model(x, heads, name="encoder"),
        keras.Model(z, {"logits": logits}, name="decoder"),
    )


PAIRS = {
    "keras_vae, convolutions": ("keras_vae", keras_colour),
    "tf_vae, convolutions": ("tf_vae", keras_colour),
    "keras_vae, other names": ("keras_vae", named_pair),
    "tf_vae, other names": ("tf_vae", named_pair),
    "tf_vae, tf.Modules": ("tf_vae", lambda: (Encoder(), Decoder())),
    "tf_vae, functions": ("tf_vae", lambda: (Encoder().__call__, Decoder().__call__)),
}


@pytest.mark.extras
@pytest.mark.parametrize("name, pair", PAIRS.values(), ids=PAIRS.keys())
def test_own_networks_are_exported(implementations, tmp_path, name, pair):
    implementation, exporter = implementations[name], import_beyond(name, "export")
    config = recipe("post-keras", latent_dim=3)
    model = implementation.assemble(*pair(), config, 192, jit_compile=False)
    differences, refusal = export.export_run(tmp_path, implementation, exporter, model, 192)
    assert refusal is None and len(differences) == 4
    assert max(differences.values()) < export.TOLERANCE
    x = images(8, (8, 8, 3)).x_train
    encode = onnx_files.load_onnx(tmp_path / "exported" / "encoder.onnx")
    # float32 sums over 192 pixels in another order
    np.testing.assert_allclose(encode(x)["z_mean"], implementation.encode(model, x)[0], atol=1e-5)


@pytest.mark.extras
@pytest.mark.parametrize(
    "shape, changes",
    [
        ((7, 9), {"posterior": "delta", "likelihood": "gaussian"}),
        ((6, 5, 3), {"likelihood": "gaussian", "fixed_sigma": 0.5}),
        ((6, 5, 3), {"likelihood": "categorical", "levels": 3}),
        ((7, 9), {"likelihood": "continuous-bernoulli"}),
    ],
)
def test_convolutions_of_every_likelihood_are_exported(implementation, tmp_path, shape, changes):
    config, input_dim = recipe("post-keras", latent_dim=3, **changes), int(np.prod(shape))
    pair = conv.networks(config, shape)
    model = implementation.assemble(*pair, config, input_dim, jit_compile=False)
    exporter = import_beyond(implementation.name, "export")
    differences, refusal = export.export_run(tmp_path, implementation, exporter, model, input_dim)
    assert refusal is None and len(differences) == 4
    assert max(differences.values()) < export.TOLERANCE


def test_a_weight_that_is_not_trained_is_exported(implementations, tmp_path):
    """`assemble` of tf_vae knows only the weights that are trained; a SavedModel needs all."""
    scale = tf.Variable(3.0, trainable=False)
    kernel = tf.Variable(tf.ones((36, 2)) / 36)
    model = implementations["tf_vae"].assemble(
        lambda x: [scale * (x @ kernel), x @ kernel],
        lambda z: {"logits": z @ tf.transpose(kernel)},
        recipe("post-keras"),
        36,
    )
    exporter = import_beyond("tf_vae", "export")
    exporter.export(model, tmp_path)
    outputs = exporter.load_exported(tmp_path / "encoder")(np.ones((1, 36), np.float32))
    np.testing.assert_allclose(outputs["z_mean"], [[3, 3]], rtol=1e-6)  # a float32 sum of 36


@keras.saving.register_keras_serializable("tests")
class Digamma(keras.layers.Layer):
    """An operation that ONNX does not have."""

    def call(self, x):
        return tf.math.digamma(x + 1.0)


def without_onnx(implementation):
    """A model whose decoder ONNX cannot hold."""
    encoder, _ = named_pair()
    z = keras.Input((3,))
    decoder = keras.Model(z, {"logits": keras.layers.Dense(192)(Digamma()(keras.ops.abs(z)))})
    config = recipe("post-keras", latent_dim=3)
    return implementation.assemble(encoder, decoder, config, 192, jit_compile=False)


@pytest.mark.extras
def test_a_network_that_onnx_cannot_hold_leaves_no_onnx_file(implementation, tmp_path):
    model, exporter = without_onnx(implementation), import_beyond(implementation.name, "export")
    with pytest.raises(UsageError, match=r"the decoder .* uses Digamma, which") as refusal:
        exporter.export(model, tmp_path, onnx=True)
    assert "\n" not in str(refusal.value) and list(tmp_path.iterdir()) == []
    # SavedModels do not depend on it, and are complete.
    run = tmp_path / "run"
    differences, reason = export.export_run(run, implementation, exporter, model, 192)
    assert reason == str(refusal.value) and max(differences.values()) < export.TOLERANCE
    names = {path.name for path in (run / "exported").iterdir()}
    assert names == {"encoder", "decoder", "signature.json"}
    assert json.loads((run / "exported" / "signature.json").read_text(encoding="utf-8"))[
        "files"
    ] == [
        "encoder",
        "decoder",
    ]


@pytest.mark.extras
def test_a_loop_in_a_network_is_searched_too(implementations, tmp_path):
    """tf2onnx puts the body of a loop into a graph of its own."""

    def decoder(z):
        h = tf.reduce_sum(tf.abs(z), axis=1, keepdims=True)
        for _ in tf.range(tf.cast(h[0, 0], tf.int32) + 2):
            h = tf.math.digamma(h + 1.0)
        return {"logits": h * tf.ones((1, 36))}

    model = implementations["tf_vae"].assemble(
        lambda x: [x[:, :2], x[:, 2:4]], tf.function(decoder), recipe("post-keras"), 36
    )
    with pytest.raises(UsageError, match=r"the decoder .*Digamma"):
        import_beyond("tf_vae", "export").export(model, tmp_path, onnx=True)


@pytest.mark.extras
@pytest.mark.either
def test_the_command_says_that_onnx_lacks_an_operation(
    implementation, data_path, tmp_path, monkeypatch, capsys
):
    run, package = str(tmp_path / "run"), implementation.name
    train = ["train", "--data", str(data_path), "--epochs", "1", "--hidden-dims", "4"]
    assert main(package, [*train, "--out", run]) == 0
    assert main(package, ["export", run]) == 0
    written = json.loads(
        (tmp_path / "run" / "exported" / "signature.json").read_text(encoding="utf-8")
    )
    assert written["run"] == read_config(run) and written["pixels"]["image_shape"] == [6, 6]
    assert len(written["files"]) == 4
    # A run's own network may use it; here the table of ONNX's operations is emptied of one.
    import onnx

    known = [s for s in onnx.defs.get_all_schemas() if s.name != "MatMul"]
    monkeypatch.setattr(onnx.defs, "get_all_schemas", lambda: known)
    capsys.readouterr()
    assert main(package, ["export", run]) == 1
    output, errors = capsys.readouterr()
    assert "MatMul" in errors and errors.endswith("only SavedModels were written\n")
    phases = ["loading TensorFlow", "exporting the encoder and the decoder"]
    assert output.splitlines()[:2] == phases and len(output.splitlines()) == 4
    assert errors.count("\n") == 1
