"""`torch.compile`: Rushlight records, fuses and compiles every program already, so compiling a function returns it as
it is.

The stream's programs are cached by structure (core/stream.py), which is what `torch.compile` asks for; replay of whole
captured functions without recording is a later step.
"""


def compile(model=None, *, fullgraph=False, dynamic=None, backend="inductor", mode=None, options=None, name=None,
            disable=False, recompile_limit=None, isolate_recompiles=False, shapes_spec=None):
    """The function or module itself; usable as a decorator with and without arguments."""
    if model is None:
        return lambda function: function
    return model


def is_compiling():
    """False."""
    return False


def disable(fn=None, recursive=True):
    """The function itself."""
    return fn if fn is not None else (lambda function: function)


def reset():
    """Nothing to forget."""
