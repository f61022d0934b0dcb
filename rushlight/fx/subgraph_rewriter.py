"""`replace_pattern`: find the places of a program that do what a pattern does, and put other nodes there."""

from typing import NamedTuple

from ..nn import Module
from ._symbolic_trace import symbolic_trace
from .graph import Graph
from .graph_module import GraphModule, _copy_attr, _has_attr
from .node import Node

__all__ = ["Match", "ReplacedPatterns", "SubgraphMatcher", "replace_pattern", "replace_pattern_with_filters"]


class Match(NamedTuple):
    """A place that matched: the node where matching began, and which node of the program each of the pattern is."""

    anchor: Node
    nodes_map: dict


class ReplacedPatterns(NamedTuple):
    """A `Match` with the nodes that were put there."""

    anchor: Node
    nodes_map: dict
    replacements: list


class InternalMatch:
    """A place that matches, with what filters ask for."""

    def __init__(self, anchors):
        self.anchors = anchors
        self.nodes_map = {}
        self.placeholder_nodes, self.returning_nodes = [], []
        self.name_node_map = {}


class SubgraphMatcher:
    """Finds the places of a graph that do what a pattern does.

    Args:
        pattern (Graph): the pattern; its placeholders match any value.
        match_output (bool): whether the output node of the pattern has to be that of the graph.
        match_placeholder (bool): whether placeholders match only placeholders.
        remove_overlapping_matches (bool): whether a node is part of one match at most.
        ignore_literals (bool): whether constants match any constant.
    """

    def __init__(self, pattern, match_output=False, match_placeholder=False, remove_overlapping_matches=True,
                 ignore_literals=False):
        self.pattern, self.match_output, self.match_placeholder = pattern, match_output, match_placeholder
        self.remove_overlapping_matches, self.ignore_literals = remove_overlapping_matches, ignore_literals
        if not len(pattern.nodes):
            raise ValueError("SubgraphMatcher cannot be initialized with an empty pattern")
        for node in pattern.nodes:
            if node.op != "output" and not node.users:
                raise AssertionError("SubgraphMatcher cannot be initialized with an pattern with dead code")
        output = pattern.output_node()
        self.pattern_placeholder_nodes = [n for n in pattern.nodes if n.op == "placeholder"]
        self.pattern_returning_nodes = output.all_input_nodes
        self.pattern_anchors = [output] if match_output else [n for n in output.all_input_nodes if len(n.users) == 1]

    def match(self, graph, node_name_match=""):
        """All matches, in the order of the graph."""
        options = [[n for n in graph.nodes if self._same_kind(anchor, n)] for anchor in self.pattern_anchors]
        matches = []
        self._search(options, 0, [], matches)
        for found in matches:
            found.placeholder_nodes = [found.nodes_map[n] for n in self.pattern_placeholder_nodes
                                       if n in found.nodes_map]
            found.returning_nodes = [found.nodes_map[n] for n in self.pattern_returning_nodes]
        matches = [found for found in matches if self._is_closed(found)]
        return self._apart(matches) if self.remove_overlapping_matches else matches

    def _search(self, options, index, chosen, matches):
        """Try all choices of nodes for the anchors."""
        if index == len(options):
            found = InternalMatch([pair[1] for pair in chosen])
            if all(self._match_node(anchor, node, found) for anchor, node in chosen):
                matches.append(found)
            return
        for node in options[index]:
            self._search(options, index + 1, [*chosen, (self.pattern_anchors[index], node)], matches)

    def _same_kind(self, pattern, node):
        if not self.match_placeholder and pattern.op == "placeholder":
            return True
        if pattern.op != node.op:
            return False
        if pattern.op in ("placeholder", "output"):
            return True
        if pattern.op == "get_attr":
            return self._same_attribute(pattern, node)
        if pattern.op == "call_module":
            a, b = pattern.graph.owning_module, node.graph.owning_module
            if a is not None and b is not None:
                return type(a.get_submodule(pattern.target)) is type(b.get_submodule(node.target))
        return pattern.target == node.target

    @staticmethod
    def _same_attribute(pattern, node):
        return pattern.target.rpartition(".")[2] == node.target.rpartition(".")[2] or pattern.target == node.target

    def _match_node(self, pattern, node, found):
        if pattern in found.nodes_map:
            return found.nodes_map[pattern] is node
        if isinstance(node, Node) and node in found.nodes_map.values() and pattern.op != "placeholder":
            return False
        if not isinstance(node, Node):
            if pattern.op == "placeholder" and not self.match_placeholder:
                found.nodes_map[pattern] = node
                return True
            return False
        if not self._same_kind(pattern, node):
            return False
        saved = dict(found.nodes_map)
        found.nodes_map[pattern] = node
        if pattern.op == "placeholder":
            return True
        if self._match_values(pattern.args, node.args, found) and \
                self._match_values(pattern.kwargs, node.kwargs, found):
            return True
        found.nodes_map = saved
        return False

    def _match_values(self, a, b, found):
        """Whether nested arguments of the pattern and of the graph match."""
        if isinstance(a, Node):
            return self._match_node(a, b, found)
        if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
            return len(a) == len(b) and all(self._match_values(x, y, found) for x, y in zip(a, b))
        if isinstance(a, dict) and isinstance(b, dict):
            return a.keys() == b.keys() and all(self._match_values(a[k], b[k], found) for k in a)
        if isinstance(a, slice) and isinstance(b, slice):
            return self._match_values((a.start, a.stop, a.step), (b.start, b.stop, b.step), found)
        if isinstance(b, Node):
            return False
        return self.ignore_literals or (type(a) is type(b) and a == b)

    def _is_closed(self, found):
        """Whether nodes inside the match, other than inputs and results, are used inside alone."""
        inner = {b for a, b in found.nodes_map.items() if a.op != "placeholder" and isinstance(b, Node)}
        for a, node in found.nodes_map.items():
            if a.op in ("placeholder", "output", "get_attr") or a in self.pattern_returning_nodes:
                continue
            if any(user not in inner for user in node.users):
                return False
        return True

    def _apart(self, matches):
        """The matches that share no node with one before."""
        taken, result = set(), []
        for found in matches:
            own = {b for a, b in found.nodes_map.items()
                   if a.op not in ("placeholder", "output", "get_attr") and isinstance(b, Node)}
            if not own & taken:
                taken |= own
                result.append(found)
        return result


def _as_graph(program):
    """The graph of a function, module or graph."""
    if isinstance(program, GraphModule):
        return program.graph
    return program if isinstance(program, Graph) else symbolic_trace(program).graph


def replace_pattern(gm, pattern, replacement):
    """Replace all places of a program that do what `pattern` does.

    Args:
        gm (GraphModule): the program; it is changed.
        pattern (function or GraphModule): what to look for. Its arguments match any value.
        replacement (function or GraphModule): what to put there, with as many arguments.

    Returns:
        list: a `Match` for each place.

    Example:
        >>> gm = torch.fx.symbolic_trace(lambda x, y: torch.relu(x + y) * 2)
        >>> found = torch.fx.replace_pattern(gm, lambda a, b: torch.relu(a + b), lambda a, b: torch.sigmoid(a * b))
        >>> len(found), gm(torch.zeros(1), torch.ones(1))
        (1, tensor([1.]))
    """
    return [Match(found.anchor, found.nodes_map) for found in _replace(gm, pattern, replacement)]


def replace_pattern_with_filters(gm, pattern, replacement=None, match_filters=None, ignore_literals=False,
                                 replacement_callback=None, node_name_match=""):
    """`replace_pattern` for the places that all of `match_filters` accept: functions (match, program, pattern) -> bool.

    ignore_literals: constants match any constant. replacement_callback: a function (match, program, pattern) that
    gives the graph to put there. Returns a list of `ReplacedPatterns`.
    """
    return _replace(gm, pattern, replacement, match_filters, ignore_literals, replacement_callback)


def _replace(gm, pattern, replacement, filters=None, ignore_literals=False, callback=None):
    pattern_graph = _as_graph(pattern)
    if replacement is None and callback is None:
        raise AssertionError("Must provide either replacement GraphModule or replacement callback")
    matcher = SubgraphMatcher(pattern_graph, ignore_literals=ignore_literals)
    changed, results = {}, []
    common = None if replacement is None else _as_graph(replacement)
    for found in matcher.match(gm.graph):
        if not all(accepts(found, gm.graph, pattern_graph) for accepts in filters or ()):
            continue
        new = common if common is not None else callback(found, gm.graph, pattern_graph)
        inserted = _put(gm, found, new, changed)
        results.append(ReplacedPatterns(matcher.pattern_anchors[0], found.nodes_map, inserted))
    gm.recompile()
    if isinstance(replacement, Module):
        for node in gm.graph.nodes:
            if node.op in ("get_attr", "call_module") and not _has_attr(gm, node.target):
                _copy_attr(replacement, gm, node.target)
        gm.graph.lint()
    return results


def _put(gm, found, replacement, changed):
    """Put the nodes of a replacement where a match is; the new nodes. `changed`: what earlier matches replaced."""
    inputs = [changed.get(n, n) if isinstance(n, Node) else n for n in found.placeholder_nodes]
    found.placeholder_nodes = inputs
    places = [n for n in replacement.nodes if n.op == "placeholder"]
    if len(places) != len(inputs):
        raise AssertionError(f"the replacement has {len(places)} inputs, the pattern {len(inputs)}")
    values = dict(zip(places, inputs))
    order = {node: i for i, node in enumerate(gm.graph.nodes)}
    first = min((user for node in found.returning_nodes for user in node.users), key=order.__getitem__,
                default=found.returning_nodes[0])
    latest = max((n for n in inputs if isinstance(n, Node)), key=lambda n: order.get(n, -1), default=None)
    if latest is not None and order[latest] >= order[first]:
        first = latest.next
    before = set(gm.graph.nodes)
    with gm.graph.inserting_before(first):
        output = gm.graph.graph_copy(replacement, values)
    inserted = [n for n in gm.graph.nodes if n not in before]
    results = [output] if isinstance(output, Node) else list(output)
    if len(results) != len(found.returning_nodes):
        raise AssertionError("the replacement has another number of results than the pattern")
    for old, new in zip(found.returning_nodes, results):
        old.replace_all_uses_with(new)
        changed[old] = new
    inner = [b for a, b in found.nodes_map.items() if a.op not in ("placeholder", "output") and isinstance(b, Node)]
    for node in sorted(set(inner), key=order.__getitem__, reverse=True):
        if not node.users:
            gm.graph.erase_node(node)
    return inserted
