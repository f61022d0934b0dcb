"""Random numbers: the same draws, in the same order, as PyTorch's CPU generator (literals come from torch 2.13)."""
import copy
import hashlib
import pickle
import struct

import pytest

import rushlight as rl
import rushlight.nn.functional as F

SEED_1234 = [
    ("rand", lambda: rl.rand(3), [0.0289792418, 0.401898563, 0.259844184]),
    ("rand double", lambda: rl.rand(2, dtype=rl.float64), [0.231834172, 0.0787538614]),
    ("rand bfloat16", lambda: rl.rand(4, dtype=rl.bfloat16), [0.0289306641, 0.40234375, 0.259765625, 0.3671875]),
    ("randn below 16", lambda: rl.randn(5), [0.0461304635, 0.402402818, -1.01152909, 0.216738239, -0.612273097]),
    ("randn above 16", lambda: rl.randn(17)[-4:], [0.696980536, -0.66305387, 1.21575689, -2.52733517]),
    ("randn half", lambda: rl.randn(17, dtype=rl.float16)[-4:], [-1.32519531, 0.696777344, -0.663085938, 1.21582031]),
    ("randn double", lambda: rl.randn(20, dtype=rl.float64)[-2:], [1.00058281, -0.0961641848]),
    ("randint", lambda: rl.randint(0, 100, (6,)), [75, 71, 6, 65, 16, 64]),
    ("randint wide", lambda: rl.randint(-5, 1 << 40, (2,)), [203984846263, 166669160343]),
    ("randperm", lambda: rl.randperm(10), [5, 4, 8, 2, 6, 9, 1, 7, 0, 3]),
    ("bernoulli_", lambda: rl.empty(12).bernoulli_(0.3),
     [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0]),
    ("bernoulli each", lambda: rl.bernoulli(rl.full((12,), 0.3)),
     [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    ("dropout", lambda: F.dropout(rl.ones(10), 0.2), [1.25, 1.25, 1.25, 1.25, 1.25, 1.25, 1.25, 1.25, 1.25, 0.0]),
    ("exponential_", lambda: rl.empty(3).exponential_(2.0), [0.13187483, 0.0410140119, 0.314060152]),
    ("geometric_", lambda: rl.empty(6).geometric_(0.1), [14.0, 25.0, 8.0, 9.0, 9.0, 13.0]),
    ("cauchy_", lambda: rl.empty(3).cauchy_(1, 2), [-1.24237394, -6.91804552, 0.788136482]),
    ("log_normal_", lambda: rl.empty(3).log_normal_(0.5, 0.25), [1.66784537, 1.8232137, 1.28032982]),
    ("random_ int64", lambda: rl.empty(2, dtype=rl.int64).random_(), [3532910284440527571, 2252509165406510133]),
    ("random_ float32", lambda: rl.empty(3).random_(), [486142.0, 6742612.0, 4359303.0]),
    ("uniform_ transposed", lambda: rl.zeros(2, 3).t().uniform_(-1, 1),
     [[-0.942041516, -0.266717315], [-0.196202874, -0.883398533], [-0.480311632, 0.401289463]]),
    ("normal_ transposed", lambda: rl.zeros(3, 6).t().normal_()[0], [0.0461304635, 0.230966806, -0.154900402]),
    ("multinomial replacement", lambda: rl.multinomial(rl.tensor([0.1, 0.2, 0.7]), 8, True),
     [1, 0, 2, 2, 2, 1, 1, 1]),
    ("multinomial one", lambda: rl.multinomial(rl.tensor([[0.1, 0.2, 0.7]] * 4), 1), [[1], [2], [2], [2]]),
    ("multinomial many", lambda: rl.multinomial(rl.tensor([0.1, 0.2, 0.7, 0.4]), 3), [1, 2, 3]),
    ("poisson", lambda: rl.poisson(rl.tensor([0.5, 3.0, 20.0, 100.0])), [0.0, 1.0, 19.0, 93.0]),
    ("rrelu", lambda: F.rrelu(rl.tensor([-1.0, 2, -3, -4]), training=True),
     [-0.173298791, 2.0, -0.424221158, -0.888671815]),
    ("normal", lambda: rl.normal(rl.arange(4.0), rl.arange(1.0, 5.0)),
     [0.0461304635, 1.80480564, -1.03458738, 3.8669529]),
    ("gumbel", lambda: F.gumbel_softmax(rl.zeros(1, 4)), [[0.195001081, 0.626998723, 0.0818815529, 0.096118629]]),
]


@pytest.mark.parametrize("name,make,expected", SEED_1234, ids=[row[0] for row in SEED_1234])
def test_values(name, make, expected):
    rl.manual_seed(1234)
    found = make()
    assert found.shape == rl.tensor(expected).shape
    found, expected = found.double(), rl.tensor(expected, dtype=rl.float64)
    assert (found - expected).abs().max().item() < 2e-7 * max(1, expected.abs().max().item())


def digest(tensor):
    """A fingerprint of the bytes of a contiguous tensor."""
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("make,expected", [
    (lambda: rl.randn(100000), "9ce1e15822a349ed"),
    (lambda: rl.rand(100000), "c4deea25dc62a873"),
    (lambda: F.dropout(rl.ones(100000), 0.3), "4093add77861e497"),
    (lambda: rl.randperm(50000), "e1018d389ac17cc0"),
])
def test_every_bit_of_a_long_result(make, expected):
    rl.manual_seed(7)
    assert digest(make()) == expected


def test_state_bytes():
    rl.manual_seed(99)
    rl.randn(3)
    state = rl.get_rng_state()
    assert state.dtype is rl.uint8 and state.shape == (5056,)
    found = state.numpy().tobytes()
    # seed, draws left, seeded, next place; then the engine's words; then the cached normal number and that it is there
    assert struct.unpack_from("<QiiQ", found) == (99, 617, 1, 8)
    assert hashlib.sha256(found[24:24 + 4992]).hexdigest()[:16] == "16eba5da7fc46469"
    assert abs(struct.unpack_from("<d", found, 24 + 4992 + 8)[0] - -0.6665656697614261) < 1e-14
    assert struct.unpack_from("<i", found, 24 + 4992 + 24)[0] == 1


def test_state_round_trip():
    rl.manual_seed(5)
    rl.randn(7)
    state = rl.get_rng_state()
    first = [rl.randn(5), rl.rand(3), rl.randint(0, 9, (4,))]
    rl.set_rng_state(state)
    second = [rl.randn(5), rl.rand(3), rl.randint(0, 9, (4,))]
    assert all((a == b).all() for a, b in zip(first, second))


def test_generators_are_independent():
    one, other = rl.Generator().manual_seed(3), rl.Generator().manual_seed(3)
    rl.manual_seed(8)
    expected = rl.rand(4)
    rl.manual_seed(8)
    a = rl.rand(5, generator=one)
    assert (rl.rand(4) == expected).all()
    assert (rl.rand(5, generator=other) == a).all()
    copies = copy.deepcopy(one), pickle.loads(pickle.dumps(one)), one.clone_state()
    following = rl.randn(3, generator=one)
    assert all((rl.randn(3, generator=g) == following).all() for g in copies)
    assert one.initial_seed() == 3 and one.device.type == "cpu"


def test_fork_rng():
    rl.manual_seed(1)
    expected = rl.rand(2)
    rl.manual_seed(1)
    with rl.random.fork_rng():
        rl.rand(100)
    assert (rl.rand(2) == expected).all() and rl.initial_seed() == 1


def test_seeds():
    assert rl.manual_seed(-5).initial_seed() == 2**64 - 5
    with pytest.raises(ValueError, match="Overflow"):
        rl.manual_seed(2**64)
    assert rl.seed() == rl.initial_seed()


def test_order_of_pending_draws():
    """Draws happen in program order also where their results are used in another order, or not at all."""
    rl.manual_seed(2)
    a, b, c = rl.rand(3), rl.randn(20), rl.rand(3)
    text = c.tolist(), a.tolist()
    rl.manual_seed(2)
    first = rl.rand(3).tolist()
    rl.randn(20)
    assert text == (rl.rand(3).tolist(), first)
    del b


@pytest.mark.parametrize("dtype", [rl.float32, rl.float64, rl.float16, rl.bfloat16])
def test_uniform_never_reaches_its_upper_bound(dtype):
    found = rl.empty(20000, dtype=dtype).uniform_(2.0, 3.0)
    assert (found >= 2).all() and (found < 3).all()


def test_distributions_have_their_moments():
    rl.manual_seed(0)
    n = 200_000
    assert abs(rl.randn(n).mean().item()) < 0.01 and abs(rl.randn(n).std().item() - 1) < 0.01
    assert abs(rl.empty(n).exponential_(4.0).mean().item() - 0.25) < 0.005
    assert abs(rl.poisson(rl.full((n,), 3.5)).mean().item() - 3.5) < 0.03
    assert abs(rl.poisson(rl.full((n,), 35.0)).mean().item() - 35.0) < 0.1
    assert abs(rl.bernoulli(rl.full((n,), 0.2)).mean().item() - 0.2) < 0.005


def test_gradients():
    x = rl.ones(1000, requires_grad=True)
    y = F.dropout(x, 0.25)
    assert y.grad_fn.name() == "MulBackward0"
    y.sum().backward()
    assert (x.grad == y).all()
    writes = dict(Uniform=lambda t: t.uniform_(), Normal=lambda t: t.normal_(), Bernoulli=lambda t: t.bernoulli_(0.5))
    for name, write in writes.items():
        x.grad = None
        z = x * 2
        write(z)
        assert z.grad_fn.name().startswith(name)
        z.sum().backward()
        assert (x.grad == 0).all()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.uniform_()


def test_dropout_family():
    x = rl.ones(4, 8, 3, 3)
    assert F.dropout(x, 0.0) is x and F.dropout(x, 0.5, training=False) is x
    assert (F.dropout(x, 1.0) == 0).all()
    channels = F.dropout2d(x, 0.5)
    assert (channels == channels[:, :, :1, :1]).all()
    y = rl.ones(10)
    assert F.dropout(y, 0.5, inplace=True) is y
    with pytest.raises(ValueError, match="between 0 and 1, but got 2"):
        F.dropout(x, 2)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        rl.feature_dropout(y, 0.5, True)


@pytest.mark.parametrize("call,kind,text", [
    (lambda: rl.empty(3).uniform_(3, 2), RuntimeError, "found from=3 > to=2"),
    (lambda: rl.empty(3).normal_(0, -1), RuntimeError, "std >= 0.0, but found std -1"),
    (lambda: rl.rand(2, dtype=rl.int64), NotImplementedError, "not implemented for 'Long'"),
    (lambda: rl.randint(5, 5, (2,)), RuntimeError, "from=5 >= to=5"),
    (lambda: rl.randint(0, 300, (2,), dtype=rl.uint8), RuntimeError, "to - 1 is out of bounds for unsigned char"),
    (lambda: rl.randint(2.5, (2,)), TypeError, "must be int, not float"),
    (lambda: rl.randperm(-1), RuntimeError, "negative dimension"),
    (lambda: rl.rand(), TypeError, "invalid combination"),
    (lambda: rl.empty(2).exponential_(0), RuntimeError, "lambda > 0.0"),
    (lambda: rl.empty(2).geometric_(1), RuntimeError, "p to be in"),
    (lambda: rl.empty(2).bernoulli_(2), RuntimeError, "p to be in"),
    (lambda: rl.bernoulli(rl.ones(2) * 2).tolist(), RuntimeError, "p_in >= 0 && p_in <= 1"),
    (lambda: rl.multinomial(rl.ones(3), 4), RuntimeError, "without replacement"),
    (lambda: rl.multinomial(rl.tensor([1.0, -1.0]), 1), RuntimeError, "element < 0"),
    (lambda: rl.multinomial(rl.zeros(3), 1), RuntimeError, "sum of probabilities <= 0"),
    (lambda: rl.poisson(rl.tensor([-1.0])), RuntimeError, "non-negative"),
    (lambda: rl.set_rng_state(rl.zeros(3)), TypeError, "ByteTensor"),
    (lambda: rl.set_rng_state(rl.zeros(3, dtype=rl.uint8)), RuntimeError, "size 5056"),
])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_random_steps_compile_nothing_new():
    """Numbers such as p and the bounds are arguments: other values, and further steps, reuse the programs."""
    def step(p):
        x = F.dropout(rl.rand(64, 64), p) + rl.randn(64, 64)
        return x.sum().item()
    for _ in range(3):
        step(0.1)
    before = rl.engine.statistics()
    for p in (0.2, 0.3, 0.4):
        step(p)
    after = rl.engine.statistics()
    assert after["programs_planned"] == before["programs_planned"]
    assert after["kernels_compiled"] == before["kernels_compiled"]


def test_words_are_the_draws_of_tensors():
    generator = rl.default_generator
    rl.manual_seed(3)
    expected = rl.randint(0, 1000, (1300,)).tolist()
    rl.manual_seed(3)
    mixed = [word % 1000 for word in generator.words(700)] + rl.randint(0, 1000, (20,)).tolist()
    mixed += [generator.words(1)[0] % 1000 for _ in range(580)]
    assert mixed == expected
    state = generator.get_state()
    words = generator.words(3)
    generator.set_state(state)
    assert generator.clone_state().words(3) == words == generator.words(3)
    with rl.random.fork_rng():
        other = generator.words(2)
    assert generator.words(2) == other
