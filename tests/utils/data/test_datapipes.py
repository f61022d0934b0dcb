"""Data pipes: the orders that PyTorch gives for the same seeds, shards of workers, names of methods, determinism."""

import pickle

import pytest
import rushlight as rl
from rushlight.utils.data import (
    DataChunk,
    DataLoader,
    IterDataPipe,
    MapDataPipe,
    argument_validation,
    functional_datapipe,
    guaranteed_datapipes_determinism,
    non_deterministic,
    runtime_validation,
    runtime_validation_disabled,
)
from rushlight.utils.data.datapipes.iter import IterableWrapper
from rushlight.utils.data.datapipes.map import SequenceWrapper

ORDERS = (
    [[9, 0, 5, 7, 4], [1, 3, 8, 6, 2]],
    [[6, 1, 4], [8, 3, 0], [2, 7], [5, 9]],
)


def double(x):
    return x * 2


def batches(loader):
    return [batch.tolist() for batch in loader]


def test_streams():
    source = IterableWrapper(range(10))
    assert list(source.map(double).filter(lambda x: x % 4 == 0).batch(2)) == [[0, 4], [8, 12], [16]]
    assert len(source.batch(3)) == 4 and len(source.batch(3, drop_last=True)) == 3
    assert list(IterableWrapper([[1, [2]], [3]]).unbatch(unbatch_level=-1)) == [1, 2, 3]
    assert list(IterableWrapper([1]).concat(IterableWrapper([2]))) == [1, 2]
    assert list(IterableWrapper([1, 2]).zip(source)) == [(1, 0), (2, 1)]
    assert list(IterableWrapper([{"a": 1, "b": 2}]).map(double, input_col="a")) == [{"a": 2, "b": 2}]
    assert list(IterableWrapper([(1, 2)]).map(double, input_col=1, output_col=-1)) == [(1, 2, 4)]
    assert list(IterableWrapper([(1, 2, 3)]).map(lambda a, b: a + b, input_col=[0, 2])) == [(4, 2)]
    assert str(source.map(double)) == "MapperIterDataPipe" and "shuffle" in dir(source)
    with pytest.raises(ValueError, match="Boolean output is required"):
        list(source.filter(double))
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        source.fly()


def test_maps():
    source = SequenceWrapper(range(6))
    assert list(source.map(double).batch(4)) == [[0, 2, 4, 6], [8, 10]]
    assert len(source.concat(source)) == 12 and source.concat(source)[7] == 1 and source.zip(source)[2] == (2, 2)
    assert sorted(source.shuffle()) == list(range(6))
    assert list(DataLoader(source, batch_size=None)) == list(range(6))


def test_orders_are_pytorchs():
    rl.manual_seed(0)
    pipe = IterableWrapper(range(10)).shuffle().sharding_filter()
    assert batches(DataLoader(pipe, batch_size=5, shuffle=True)) == ORDERS[0]
    assert batches(DataLoader(pipe, batch_size=3, shuffle=True, num_workers=2)) == ORDERS[1]
    loader = DataLoader(pipe, batch_size=3, shuffle=False, num_workers=2, persistent_workers=True)
    assert batches(loader) == batches(loader) == [[0, 2, 4], [1, 3, 5], [6, 8], [7, 9]]
    with pytest.warns(UserWarning, match="does not contain a `Shuffler`"):
        assert sorted(DataLoader(IterableWrapper(range(4)), batch_size=None, shuffle=True)) == [0, 1, 2, 3]


def test_one_iterator_at_a_time():
    pipe = IterableWrapper(range(3))
    first = iter(pipe)
    next(first)
    assert next(iter(pipe)) == 0
    with pytest.raises(RuntimeError, match="This iterator has been invalidated"):
        next(first)


def test_names_and_hooks():
    @functional_datapipe("thrice_for_test")
    class Thrice(IterDataPipe):
        def __init__(self, source):
            self.source = source

        def __iter__(self):
            for sample in self.source:
                yield sample * 3

    try:
        assert list(IterableWrapper([1]).thrice_for_test()) == [3]
        with pytest.raises(Exception, match="already taken"):
            functional_datapipe("thrice_for_test")(Thrice)
    finally:
        del IterDataPipe.functions["thrice_for_test"]
    with pytest.raises(TypeError, match="can only decorate IterDataPipe"):
        functional_datapipe("x")(list)
    IterDataPipe.set_getstate_hook(lambda state: {"iterable": [7], "deepcopy": True})
    try:
        assert list(pickle.loads(pickle.dumps(IterableWrapper([1])))) == [7]
    finally:
        IterDataPipe.set_getstate_hook(None)
    assert list(pickle.loads(pickle.dumps(IterableWrapper([1])))) == [1]
    assert MapDataPipe.functions is not IterDataPipe.functions


def test_determinism():
    @non_deterministic
    class Dice(IterDataPipe):
        pass

    assert isinstance(Dice(), IterDataPipe)
    with guaranteed_datapipes_determinism(), pytest.raises(TypeError, match="Dice is non-deterministic"):
        Dice()
    with pytest.raises(TypeError, match="Only `IterDataPipe` can be decorated"):
        non_deterministic(list)


def test_validation():
    class Wrong(IterDataPipe):
        @runtime_validation
        def __iter__(self) -> "IterDataPipe":
            yield 1

    assert list(Wrong()) == [1]
    with runtime_validation_disabled():
        assert list(Wrong()) == [1]

    @argument_validation
    def use(source: IterDataPipe):
        return source

    assert isinstance(use(IterableWrapper([])), IterDataPipe)
    with pytest.raises(TypeError, match="Expected argument 'source' as a IterDataPipe"):
        use([])


def test_chunks():
    chunk = DataChunk([1, 2])
    assert chunk == [1, 2] and chunk.as_str(" ") == " [1, 2]" and list(chunk.raw_iterator()) == [1, 2]
