"""Several modules on several inputs: the list of their outputs."""
__all__ = ["parallel_apply"]


def parallel_apply(modules, inputs, kwargs_tup=None, devices=None):
    """[module(*input, **kwargs) for ...]; an input that is not a tuple is the only argument.

    The calls come one after the other: each only records its work, which devices then do side by side.
    """
    if len(modules) != len(inputs):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of inputs {len(inputs)}")
    kwargs_tup = kwargs_tup or ({},) * len(modules)
    if len(modules) != len(kwargs_tup):
        raise AssertionError("The number of keyword arguments is not equal to the number of modules")
    return [
        module(*(input if isinstance(input, (list, tuple)) else (input,)), **kwargs)
        for module, input, kwargs in zip(modules, inputs, kwargs_tup)
    ]
