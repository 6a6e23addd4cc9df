"""The CTC loss: one function, the right kernel for the device.

Shapes: B clips, T frames, V classes, L entries of a label. The blank is class `blank`.
"""

from keras import ops


def ctc_loss(*, labels_BxL, label_lengths_B, logits_BxTxV, num_frames_B, blank: int, sparse: bool):
    """Negative log-likelihood (B,) of each label, and whether it fits its frames (B,) bool.

    A label needs a frame for each character and one more between equal neighbours. One that does not fit contributes no
    loss and no gradient, whatever the kernel would return for it.

    Args:
      labels_BxL: int32 character indices; entries from the label's length on are ignored.
      label_lengths_B: int32, 0 for an empty label.
      logits_BxTxV: unnormalized, any float type; computed with in float32.
      num_frames_B: int32; later frames are padding.
      blank: the class that stands for nothing.
      sparse: use TensorFlow's sparse-label kernel, about 20 times as fast as a dense one on a CPU, but neither for XLA
        nor for other backends; else Keras' dense one, for both. On a GPU TensorFlow may choose cuDNN's kernel for it.
    """
    fits_B = minimal_frames(labels_BxL, label_lengths_B) <= num_frames_B
    empty_B = label_lengths_B == 0
    logits_BxTxV = ops.cast(logits_BxTxV, "float32")
    # A kernel answers only for labels that fit, the sparse one only for labels that are not empty. The others become
    # one character, which fits in any frame; what the kernel says of it is not used.
    replaced_B = ops.logical_or(empty_B, ops.logical_not(fits_B))
    kernel = _sparse_kernel if sparse else _dense_kernel
    loss_B = kernel(
        ops.where(replaced_B[:, None], 0, labels_BxL),
        ops.where(replaced_B, 1, label_lengths_B),
        logits_BxTxV,
        num_frames_B,
        blank,
    )
    loss_B = ops.where(empty_B, _only_blanks(logits_BxTxV, num_frames_B, blank), loss_B)
    return ops.where(fits_B, loss_B, 0.0), fits_B


def minimal_frames(labels_BxL, label_lengths_B):
    """(B,) int32: the fewest frames that can spell each label."""
    inside = ops.arange(ops.shape(labels_BxL)[1])[None, :] < label_lengths_B[:, None]
    repeats = ops.logical_and(labels_BxL[:, 1:] == labels_BxL[:, :-1], inside[:, 1:])
    return label_lengths_B + ops.sum(ops.cast(repeats, "int32"), axis=1)


def _only_blanks(logits_BxTxV, num_frames_B, blank: int):
    """(B,): the loss of an empty label."""
    blank_BxT = ops.log_softmax(logits_BxTxV, axis=-1)[:, :, blank]
    inside_BxT = ops.arange(ops.shape(logits_BxTxV)[1])[None, :] < num_frames_B[:, None]
    return -ops.sum(ops.where(inside_BxT, blank_BxT, 0.0), axis=1)


def _sparse_kernel(labels_BxL, label_lengths_B, logits_BxTxV, num_frames_B, blank: int):
    import tensorflow as tf

    inside = tf.range(tf.shape(labels_BxL)[1])[None, :] < label_lengths_B[:, None]
    # From indices, not with tf.sparse.from_dense, which would drop label 0: the space.
    indices = tf.where(inside)
    labels = tf.SparseTensor(indices, tf.gather_nd(labels_BxL, indices), tf.shape(labels_BxL, out_type=tf.int64))
    return tf.nn.ctc_loss(
        labels=labels,
        logits=logits_BxTxV,
        label_length=None,
        logit_length=num_frames_B,
        logits_time_major=False,
        blank_index=blank,
    )


def _dense_kernel(labels_BxL, label_lengths_B, logits_BxTxV, num_frames_B, blank: int):
    return ops.ctc_loss(labels_BxL, logits_BxTxV, label_lengths_B, num_frames_B, mask_index=blank)
