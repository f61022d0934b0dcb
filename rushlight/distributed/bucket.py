"""`GradBucket`: the gradients that travel together, as a communication hook sees them."""


class GradBucket:
    """A bucket as a communication hook sees it."""

    def __init__(self, bucket, index, is_last):
        self._bucket, self._buffer, self._index, self._is_last = bucket, bucket.flat, index, is_last

    def index(self):
        """The number of the bucket, 0 for the first that is ready in backward."""
        return self._index

    def is_last(self):
        """Whether it is the last bucket of the pass."""
        return self._is_last

    def buffer(self):
        """All gradients in one tensor of one dimension."""
        return self._buffer

    def set_buffer(self, buffer):
        """Replace the tensor that `buffer` gives."""
        self._buffer = buffer

    def gradients(self):
        """Views of the buffer, one for each parameter."""
        params = self._bucket.params
        parts = self._buffer.split([param.numel() for param in params])
        return [part.view_as(param) for part, param in zip(parts, params, strict=True)]

    def parameters(self):
        """The parameters."""
        return list(self._bucket.params)
