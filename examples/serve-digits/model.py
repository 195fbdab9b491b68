"""The network that examples/train-digits trains, read from its model.bin and run on batches."""

import struct
from pathlib import Path

import numpy as np

MAGIC = b"DIGITS01"
HEADER = struct.Struct("<III")


class DigitsModel:
    """64 pixels, one hidden layer of rectified linear units, 10 digits."""

    def __init__(self, path: str):
        content = Path(path).read_bytes()
        start = len(MAGIC) + HEADER.size
        if not content.startswith(MAGIC) or len(content) < start:
            raise ValueError(f"{path} is not a model of train-digits")
        inputs, hidden, outputs = HEADER.unpack_from(content, len(MAGIC))
        sizes = [inputs * hidden, hidden, hidden * outputs, outputs]
        parameters = np.frombuffer(content, "<f4", offset=start)
        if parameters.size != sum(sizes):
            raise ValueError(
                f"{path} has {parameters.size} parameters, not the {sum(sizes)} of "
                f"a network {inputs}-{hidden}-{outputs}"
            )
        parts = np.split(parameters, np.cumsum(sizes)[:-1])
        self.inputs = inputs
        self.hidden_weights = parts[0].reshape(inputs, hidden)
        self.hidden_biases = parts[1]
        self.output_weights = parts[2].reshape(hidden, outputs)
        self.output_biases = parts[3]

    def predict(self, images: np.ndarray) -> "tuple[np.ndarray, np.ndarray]":
        """The most probable digit of each image, and how probable it is.

        `images`: shape (count, 64), grey values from 0 (white) to 1 (black).
        """
        hidden = np.maximum(images @ self.hidden_weights + self.hidden_biases, 0)
        scores = hidden @ self.output_weights + self.output_biases
        scores -= scores.max(axis=1, keepdims=True)
        probabilities = np.exp(scores)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        digits = probabilities.argmax(axis=1)
        return digits, probabilities[np.arange(len(digits)), digits]
