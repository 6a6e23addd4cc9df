"""The layers of encoders, for every Keras backend: those of the published one, which others use too, and a Conformer's.

Shapes: B clips, T frames, D channels, H heads. `mask` (B, T) is true where a frame belongs to the clip and
false in the padding at its end; every layer that mixes frames, or takes statistics over them, leaves the padding out.

LiteRT must know every shape of an exported network before it runs a clip, from the input's shape alone: where one
depends on a computed number, XNNPACK (LiteRT's usual kernels) may answer wrongly in the second of two runs of equal
length. Hence `frame_axes`, `frame_numbers` and `Dense`.
"""

import keras
from keras import ops

BATCH_NORM_MOMENTUM = 0.95
BATCH_NORM_EPSILON = 1e-3
LAYER_NORM_EPSILON = 1e-6
CHANNEL_ATTENTION_KERNEL = 5


def frame_axes(x_BxTxD):
    """B and T as a reshape takes them: constants where the batch size is known, as it is at export."""
    batch_size = x_BxTxD.shape[0]
    return (-1, ops.shape(x_BxTxD)[1]) if batch_size is None else (batch_size, -1)


def frame_numbers(x_BxT):
    """(T,) float32: 0, 1, 2 and so on."""
    return ops.cumsum(ops.ones_like(x_BxT[0], dtype="float32")) - 1.0


def halved(x_BxTxD, mask_BxT):
    """The mean of every two frames (B, U, D), and their mask (B, U). A last frame that is alone is taken as it is."""
    weights_BxTx1 = ops.cast(mask_BxT, x_BxTxD.dtype)[:, :, None]
    # A frame more, whether or not the last needs a partner: a shape that depends on no remainder, see above.
    x, weights = (ops.pad(each, ((0, 0), (0, 1), (0, 0))) for each in (x_BxTxD * weights_BxTx1, weights_BxTx1))
    sums_BxUxD, weights_BxUx1 = (each[:, :-1:2] + each[:, 1::2] for each in (x, weights))
    return sums_BxUxD / ops.maximum(weights_BxUx1, 1), mask_BxT[:, ::2]


class Dense(keras.layers.Dense):
    """Keras' dense layer for (B, T, D), computed as one for (B * T, D)."""

    def call(self, x_BxTxD, training=None):
        y_NxD = super().call(ops.reshape(x_BxTxD, (-1, x_BxTxD.shape[-1])), training=training)
        return ops.reshape(y_NxD, (*frame_axes(x_BxTxD), self.units))


def sample_dropout(rate: float, name: str) -> keras.layers.Dropout:
    """Drops a residual branch for a whole clip at once (stochastic depth)."""
    return keras.layers.Dropout(rate, noise_shape=(None, 1, 1), name=name)


def sinusoidal_positions(frames_T, width: int):
    """(T, D) positions: sines in the first half of the channels, cosines in the second.

    Source: Vaswani et al., "Attention is all you need", with the two halves joined rather than interleaved.
    """
    half = width // 2
    frequencies_D = ops.power(10000.0, -ops.arange(half, dtype="float32") / half)
    angles_TxD = frames_T[:, None] * frequencies_D[None, :]
    return ops.concatenate([ops.sin(angles_TxD), ops.cos(angles_TxD)], axis=-1)


def with_positions(x_BxTxD, mask_BxT):
    """The sum of `x` and the positions of its frames."""
    positions_TxD = sinusoidal_positions(frame_numbers(mask_BxT), x_BxTxD.shape[-1])
    return x_BxTxD + ops.cast(positions_TxD, x_BxTxD.dtype)


class MaskedLayer(keras.layers.Layer):
    """A layer that takes a mask or whose input carries one. Keras warns about one that does not say so."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True


class BatchNorm(MaskedLayer):
    """Batch norm whose statistics leave the padding out.

    Keras' own does so too, but costs about a quarter more on a CPU: here the statistics are matrix products.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)  # statistics in float32, whatever the precision of the rest

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        self.moving_mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(shape=shape, initializer="ones", trainable=False, name="moving_variance")

    def call(self, x_BxTxD, mask, training=False):
        x = ops.cast(x_BxTxD, "float32")
        if training:
            frames_NxD = ops.reshape(x, (-1, x.shape[-1]))
            weights_1xN = ops.reshape(ops.cast(mask, "float32"), (1, -1))
            weights_1xN = weights_1xN / ops.maximum(ops.sum(weights_1xN), 1.0)
            mean_D = ops.matmul(weights_1xN, frames_NxD)[0]
            centred = x - mean_D
            variance_D = ops.matmul(weights_1xN, ops.reshape(ops.square(centred), (-1, x.shape[-1])))[0]
            for moving, current in ((self.moving_mean, mean_D), (self.moving_variance, variance_D)):
                moving.assign(moving * BATCH_NORM_MOMENTUM + current * (1.0 - BATCH_NORM_MOMENTUM))
        else:
            centred, variance_D = x - self.moving_mean, self.moving_variance
        return ops.cast(centred * (self.gamma * ops.rsqrt(variance_D + BATCH_NORM_EPSILON)) + self.beta, x_BxTxD.dtype)


class ChannelAttention(MaskedLayer):
    """Scales channels by a gate computed from their means over the clip's frames (ECA-Net, Wang et al. 2020)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv1D(1, CHANNEL_ATTENTION_KERNEL, padding="same", use_bias=False, name="conv")

    def build(self, input_shape):
        self.conv.build((input_shape[0], input_shape[-1], 1))

    def call(self, x_BxTxD, mask):
        weights_BxTx1 = ops.cast(mask, x_BxTxD.dtype)[:, :, None]
        mean_BxD = ops.sum(x_BxTxD * weights_BxTx1, axis=1) / ops.maximum(ops.sum(weights_BxTx1, axis=1), 1)
        gate_BxDx1 = ops.sigmoid(self.conv(mean_BxD[:, :, None]))
        return x_BxTxD * ops.transpose(gate_BxDx1, (0, 2, 1))


class ConvolutionUnit(MaskedLayer):
    """Inverted bottleneck around a causal depthwise convolution, with channel attention and a residual connection."""

    def __init__(self, width: int, kernel: int, expansion: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.kernel = kernel
        self.expand = Dense(width * expansion, activation="swish", name="expand")
        self.convolution = keras.layers.DepthwiseConv1D(kernel, use_bias=False, name="convolution")
        self.norm = BatchNorm(name="norm")
        self.attention = ChannelAttention(name="attention")
        self.project = Dense(width, name="project")
        self.dropout = sample_dropout(dropout, "dropout")

    def build(self, input_shape):
        self.expand.build(input_shape)
        expanded = (*input_shape[:-1], self.expand.units)
        for layer in (self.convolution, self.norm, self.attention, self.project):
            layer.build(expanded)

    def call(self, x_BxTxD, mask, training=False):
        y = self.expand(x_BxTxD)
        # Causal: only earlier frames are read, so padding at the end is never seen.
        y = self.convolution(ops.pad(y, ((0, 0), (self.kernel - 1, 0), (0, 0))))
        y = self.norm(y, training=training, mask=mask)
        y = self.project(self.attention(y, mask=mask))
        return x_BxTxD + self.dropout(y, training=training)


class SelfAttention(MaskedLayer):
    """Multi-head self-attention as published: one projection whose slice for each head holds its q, k and v in turn.

    The scale is (model width) ** -0.5, not (head width) ** -0.5.
    """

    def __init__(self, width: int, heads: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of the number of heads {heads}")
        self.width = width
        self.heads = heads
        self.query_key_value = Dense(3 * width, use_bias=False, name="query_key_value")
        self.dropout = keras.layers.Dropout(dropout, name="dropout")
        self.project = Dense(width, use_bias=False, name="project")

    def build(self, input_shape):
        self.query_key_value.build(input_shape)
        self.project.build(input_shape)

    def call(self, x_BxTxD, mask, training=False):
        heads_shape = (*frame_axes(x_BxTxD), self.heads, 3 * self.width // self.heads)
        heads_BxHxTxK = ops.transpose(ops.reshape(self.query_key_value(x_BxTxD), heads_shape), (0, 2, 1, 3))
        query, key, value = ops.split(heads_BxHxTxK, 3, axis=-1)
        scores_BxHxTxT = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * self.width**-0.5
        # The smallest float16 is about -65504: enough to vanish in the softmax, and finite in every precision.
        hidden_BxTxT = ops.cast(ops.logical_not(mask), scores_BxHxTxT.dtype)[:, None, None, :] * -6e4
        weights_BxHxTxT = self.dropout(ops.softmax(scores_BxHxTxT + hidden_BxTxT, axis=-1), training=training)
        mixed_BxTxHxK = ops.transpose(ops.matmul(weights_BxHxTxT, value), (0, 2, 1, 3))
        return self.project(ops.reshape(mixed_BxTxHxK, (*frame_axes(x_BxTxD), self.width)))


class TransformerUnit(MaskedLayer):
    """Pre-norm self-attention and a swish feed-forward layer, both with residual connections and without biases."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float, attention_dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="attention_norm")
        self.attention = SelfAttention(width, heads, attention_dropout, name="attention")
        self.attention_branch_dropout = sample_dropout(dropout, "attention_branch_dropout")
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="feed_forward_norm")
        self.expand = Dense(width * expansion, activation="swish", use_bias=False, name="expand")
        self.project = Dense(width, use_bias=False, name="project")
        self.feed_forward_branch_dropout = sample_dropout(dropout, "feed_forward_branch_dropout")

    def build(self, input_shape):
        for layer in (self.attention_norm, self.attention, self.feed_forward_norm, self.expand):
            layer.build(input_shape)
        self.project.build((*input_shape[:-1], self.expand.units))

    def call(self, x_BxTxD, mask, training=False):
        y = self.attention(self.attention_norm(x_BxTxD), mask=mask, training=training)
        x_BxTxD = x_BxTxD + self.attention_branch_dropout(y, training=training)
        y = self.project(self.expand(self.feed_forward_norm(x_BxTxD)))
        return x_BxTxD + self.feed_forward_branch_dropout(y, training=training)


class HalfFeedForward(MaskedLayer):
    """Half of a pre-norm swish feed-forward layer's answer is added."""

    def __init__(self, width: int, expansion: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="norm")
        self.expand = Dense(width * expansion, activation="swish", name="expand")
        self.project = Dense(width, name="project")
        self.dropout = sample_dropout(dropout, "dropout")

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.expand.build(input_shape)
        self.project.build((*input_shape[:-1], self.expand.units))

    def call(self, x_BxTxD, training=False):
        y = self.project(self.expand(self.norm(x_BxTxD)))
        return x_BxTxD + 0.5 * self.dropout(y, training=training)


class GatedConvolution(MaskedLayer):
    """A gated linear unit, a depthwise convolution that looks both ways, and a projection, with a residual connection.

    Source: the convolution module of Gulati et al. 2020.
    """

    def __init__(self, width: int, kernel: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.before, self.after = kernel // 2, (kernel - 1) // 2  # frames that are read beside the frame itself
        self.input_norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="input_norm")
        self.value = Dense(width, name="value")
        self.gate = Dense(width, activation="sigmoid", name="gate")
        self.depthwise = keras.layers.DepthwiseConv1D(kernel, use_bias=False, name="depthwise")
        self.norm = BatchNorm(name="norm")
        self.project = Dense(width, name="project")
        self.dropout = sample_dropout(dropout, "dropout")

    def build(self, input_shape):
        for layer in (self.input_norm, self.value, self.gate, self.depthwise, self.norm, self.project):
            layer.build(input_shape)

    def call(self, x_BxTxD, mask, training=False):
        y = self.input_norm(x_BxTxD)
        # 0 in the padding, as beyond it: what follows the clip is read.
        y = self.value(y) * self.gate(y) * ops.cast(mask, x_BxTxD.dtype)[:, :, None]
        y = self.depthwise(ops.pad(y, ((0, 0), (self.before, self.after), (0, 0))))
        y = self.project(ops.swish(self.norm(y, training=training, mask=mask)))
        return x_BxTxD + self.dropout(y, training=training)


class ConformerBlock(MaskedLayer):
    """Half feed-forward, self-attention, convolution, half feed-forward, and a norm (Gulati et al. 2020)."""

    def __init__(
        self, width: int, heads: int, expansion: int, kernel: int, dropout: float, attention_dropout: float, **kwargs
    ):
        super().__init__(**kwargs)
        self.feed_forward_before = HalfFeedForward(width, expansion, dropout, name="feed_forward_before")
        self.attention_norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="attention_norm")
        self.attention = SelfAttention(width, heads, attention_dropout, name="attention")
        self.attention_branch_dropout = sample_dropout(dropout, "attention_branch_dropout")
        self.convolution = GatedConvolution(width, kernel, dropout, name="convolution")
        self.feed_forward_after = HalfFeedForward(width, expansion, dropout, name="feed_forward_after")
        self.norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="norm")

    def build(self, input_shape):
        for layer in (self.feed_forward_before, self.attention_norm, self.attention):
            layer.build(input_shape)
        for layer in (self.convolution, self.feed_forward_after, self.norm):
            layer.build(input_shape)

    def call(self, x_BxTxD, mask, training=False):
        x = self.feed_forward_before(x_BxTxD, training=training)
        y = self.attention(self.attention_norm(x), mask=mask, training=training)
        x = x + self.attention_branch_dropout(y, training=training)
        x = self.convolution(x, mask=mask, training=training)
        return self.norm(self.feed_forward_after(x, training=training))
