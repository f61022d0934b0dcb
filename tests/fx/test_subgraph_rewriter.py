"""Replacing patterns."""
import rushlight as torch
from rushlight import fx, nn
from rushlight.fx.subgraph_rewriter import SubgraphMatcher, replace_pattern_with_filters
from rushlight.nn import functional as F


def lines(module):
    return [line.strip() for line in module.code.strip().splitlines()[1:]]


def test_all_places_are_replaced():
    module = fx.symbolic_trace(lambda x, w1, w2: torch.stack([torch.cat([w1, w2]).sum(), torch.cat([w1, w2]).sum()])
                               + torch.max(x))
    found = fx.replace_pattern(module, lambda w1, w2: torch.cat([w1, w2]).sum(), lambda w1, w2: torch.stack([w1, w2]))
    assert lines(module) == [
        "stack_1 = torch.stack([w1, w2])", "stack_2 = torch.stack([w1, w2]);  w1 = w2 = None",
        "stack = torch.stack([stack_1, stack_2]);  stack_1 = stack_2 = None", "max_1 = torch.max(x);  x = None",
        "add = stack + max_1;  stack = max_1 = None", "return add"]
    assert len(found) == 2 and found[0]._fields == ("anchor", "nodes_map") and found[0].anchor.name == "sum_1"


def test_overlapping_places():
    module = fx.symbolic_trace(lambda x: torch.relu(torch.relu(torch.relu(x))))
    fx.replace_pattern(module, lambda a: torch.relu(torch.relu(a)), lambda a: torch.sigmoid(a))
    targets = [n.target for n in module.graph.nodes if n.op == "call_function"]
    assert sorted(t.__name__ for t in targets) == ["relu", "sigmoid"]


def test_values_used_outside_are_no_match():
    module = fx.symbolic_trace(lambda x: (torch.relu(x + 1), (x + 1).neg()))
    shared = fx.symbolic_trace(lambda x: (lambda y: (torch.relu(y), y))(x + 1))
    pattern = (lambda x: torch.relu(x + 1), lambda x: x)
    assert len(fx.replace_pattern(module, *pattern)) == 1 and len(fx.replace_pattern(shared, *pattern)) == 0


def test_modules_bring_their_attributes():
    class New(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(2, 2)

        def forward(self, x):
            return self.lin(x)

    module = fx.symbolic_trace(lambda x: torch.relu(x) + 1)
    new = New()
    fx.replace_pattern(module, lambda x: torch.relu(x), new)
    x = torch.rand(1, 2)
    assert torch.equal(module(x), new(x) + 1) and module.lin is new.lin


def test_constants_and_filters():
    module = fx.symbolic_trace(lambda x: x.add(1) + x.add(2))
    assert len(fx.replace_pattern(module, lambda a: a.add(3), lambda a: a)) == 0
    found = replace_pattern_with_filters(module, lambda a: a.add(1), lambda a: F.gelu(a).sub(5), ignore_literals=True,
                                         match_filters=[lambda match, graph, pattern: match.returning_nodes[0].args[1]
                                                        == 2])
    assert len(found) == 1 and [n.name for n in found[0].replacements] == ["gelu", "sub"]
    assert [n.name for n in module.graph.nodes] == ["x", "add", "gelu", "sub", "add_2", "output"]


def test_matching_alone():
    pattern = fx.symbolic_trace(lambda a, b: torch.relu(a @ b)).graph
    graph = fx.symbolic_trace(lambda x, w: torch.relu(torch.relu(x @ w) @ w)).graph
    matches = SubgraphMatcher(pattern).match(graph)
    assert [[n.name for n in match.returning_nodes] for match in matches] == [["relu"], ["relu_1"]]
    assert [n.name for n in matches[1].placeholder_nodes] == ["relu", "w"]
