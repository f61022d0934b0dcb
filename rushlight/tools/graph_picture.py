"""A picture of a graph as SVG: a model's forward pass, or the graph of gradients behind a tensor.

    rushlight.tools.picture(model, torch.randn(1, 3, 32, 32), path="model.svg")
    rushlight.tools.picture(loss, path="gradients.svg")

In: a module with its arguments, or a tensor. Out: the text of an SVG file, made with nothing but Python. The picture is
drawn in layers (Note [Layers]).
"""
import dataclasses
import html

from .. import api as rl
from ..nn.modules.module import Module
from ..nn.parameter import Parameter
from ..utils.module_trace import trace

COLOURS = {"input": "#d7ead3", "output": "#f6d5c9", "module": "#dbe7f6", "operator": "#f2f2f2", "parameter": "#fbeec2"}
CHARACTER, LINE, PAD, GAP_X, GAP_Y = 7.2, 17, 9, 26, 44  # pixels; a character's width is that of 12 px monospace
SWEEPS = 8


@dataclasses.dataclass(eq=False)
class Node:
    """A box of the picture. `lines` are its text; `layer`, `x`, `y` are where it ends up (its centre)."""

    lines: list
    kind: str
    layer: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self):
        """In pixels; 0 for a bend of an edge, which has no text."""
        return max(map(len, self.lines)) * CHARACTER + 2 * PAD if self.lines else 0

    @property
    def height(self):
        """In pixels."""
        return len(self.lines) * LINE + 2 * PAD - 4 if self.lines else 0


def picture(graph, *inputs, path=None, depth=None, **named):
    """Draw a model or a graph of gradients.

    Args:
        graph: a module, which runs once on `inputs` and `named`; or a tensor with a `grad_fn`.
        path: the file to write; by default none.
        depth: draw modules of this depth as one box (1: the model's children); by default down to the leaves.

    Returns:
        str: the SVG document.

    Raises:
        TypeError: for other objects.
        RuntimeError: for a tensor without a graph.
    """
    if isinstance(graph, Module):
        nodes, edges = _of_model(trace(graph, inputs, named), depth)
    elif isinstance(graph, rl.Tensor):
        nodes, edges = _of_gradients(graph)
    else:
        raise TypeError(f"picture: expected a module or a tensor, got {type(graph).__name__}")
    text = draw(nodes, edges)
    if path is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return text


def _size(shape):
    return "x".join(map(str, shape)) or "scalar"


# -- what to draw --------------------------------------------------------------------------------------------


def _of_model(found, depth):
    """Boxes for inputs, leaf modules, operators outside of leaf modules, and outputs."""
    parents = {call.parent for call in found.calls}
    makers, nodes, edges, boxes = {}, [], {}, {}

    def add(lines, kind):
        nodes.append(Node(lines, kind))
        return nodes[-1]

    def connect(source, target):
        if source is not None and source is not target:
            edges[source, target] = None

    for index, tensor in enumerate(found.inputs, 1):
        makers[id(tensor._storage)] = add([f"input {index}", _size(tensor.shape)], "input")
    for operator in found.operators:
        call = _box_of(operator.call, parents, depth)
        if call is None:
            node = add([operator.name, *map(_size, operator.shapes[:1])], "operator")
        else:
            node = boxes.get(call)
            if node is None:
                label = f"{call.name}: {type(call.module).__name__}" if call.name else type(call.module).__name__
                node = boxes[call] = add([label, *map(_size, call.output_shapes[:1])], "module")
        for storage in operator.sources:
            connect(makers.get(id(storage)), node)
        for storage in operator.results:
            makers[id(storage)] = node
    for index, tensor in enumerate(found.outputs, 1):
        connect(makers.get(id(tensor._storage)), add([f"output {index}", _size(tensor.shape)], "output"))
    return nodes, list(edges)


def _box_of(call, parents, depth):
    """The call that is drawn as one box for an operator of `call`: a leaf, or one at `depth`; else None."""
    chain = []
    while call is not None:
        chain.append(call)
        call = call.parent
    chain.reverse()  # the model first
    if depth is not None and len(chain) > depth:
        return chain[depth]
    return chain[-1] if chain[-1] not in parents else None


def _of_gradients(tensor):
    """Boxes for the nodes behind a tensor, from the leaves down to it."""
    if tensor.grad_fn is None:
        raise RuntimeError("picture: the tensor has no graph of gradients (its grad_fn is None)")
    root = Node(["result", _size(tensor.shape)], "output")
    boxes, edges, pending = {}, [], [(tensor.grad_fn, root)]
    while pending:
        function, user = pending.pop()
        if function not in boxes:
            boxes[function] = box = _gradient_box(function)
            pending += [(following, box) for following, _ in function.next_functions if following is not None]
        edges.append((boxes[function], user))
    return [*reversed(boxes.values()), root], list(dict.fromkeys(edges))


def _gradient_box(function):
    variable = getattr(function, "variable", None)
    if variable is not None:
        return Node(["parameter" if isinstance(variable, Parameter) else "leaf", _size(variable.shape)],
                    "parameter")
    return Node([function.name()], "operator")


# -- how to draw it ------------------------------------------------------------------------------------------

# Note [Layers]
# A node's layer is the length of the longest path to it; one without sources stands right above its user. An edge
# across several layers gets a bend in each, so that edges only ever join neighbours. Within a layer, nodes are ordered
# by the mean position of their neighbours, in sweeps down and up, which keeps crossings few; then each is pulled
# towards its neighbours as far as the next one allows.


def draw(nodes, edges):
    """The SVG of a directed graph without circles. `edges`: pairs of nodes."""
    layers, links = _layers(nodes, edges)
    _order(layers, links)
    _place(layers, links)
    right = max((node.x + node.width / 2 for layer in layers for node in layer), default=0) + GAP_X
    bottom = max((node.y + node.height / 2 for layer in layers for node in layer), default=0) + GAP_X
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{right:.0f}" height="{bottom:.0f}" '
             f'viewBox="0 0 {right:.0f} {bottom:.0f}" font-family="monospace" font-size="12">',
             '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
             'orient="auto"><path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>',
             '<rect width="100%" height="100%" fill="white"/>']
    parts += [_edge(source, target) for source, target in links]
    parts += [_box(node) for layer in layers for node in layer if node.lines]
    return "\n".join([*parts, "</svg>", ""])


def _edge(source, target):
    top, bottom = source.y + source.height / 2, target.y - target.height / 2
    middle = (top + bottom) / 2
    tip = ' marker-end="url(#tip)"' if target.lines else ""
    return (f'<path d="M{source.x:.1f} {top:.1f}C{source.x:.1f} {middle:.1f} {target.x:.1f} {middle:.1f} '
            f'{target.x:.1f} {bottom:.1f}" fill="none" stroke="#667"{tip}/>')


def _box(node):
    left, top = node.x - node.width / 2, node.y - node.height / 2
    text = "".join(f'<tspan x="{node.x:.1f}" y="{top + PAD + 10 + i * LINE:.1f}">{html.escape(line)}</tspan>'
                   for i, line in enumerate(node.lines))
    return (f'<g><rect x="{left:.1f}" y="{top:.1f}" width="{node.width:.1f}" height="{node.height:.1f}" rx="5" '
            f'fill="{COLOURS[node.kind]}" stroke="#889"/><text text-anchor="middle">{text}</text></g>')


def _layers(nodes, edges):
    """Lists of nodes, one a layer, with bends; and the edges between neighbouring layers."""
    sources, targets = {node: [] for node in nodes}, {node: [] for node in nodes}
    for source, target in edges:
        sources[target].append(source)
        targets[source].append(target)
    for node in _sorted(nodes, sources):
        node.layer = max((source.layer + 1 for source in sources[node]), default=0)
    for node in nodes:
        if targets[node] and not sources[node]:
            node.layer = min(target.layer for target in targets[node]) - 1
    layers = [[] for _ in range(max((node.layer for node in nodes), default=0) + 1)]
    for node in nodes:
        layers[node.layer].append(node)
    links = []
    for source, target in edges:
        for layer in range(source.layer + 1, target.layer):
            bend = Node([], "operator", layer)
            layers[layer].append(bend)
            links.append((source, bend))
            source = bend
        links.append((source, target))
    return layers, links


def _sorted(nodes, sources):
    """The nodes with every source before its targets."""
    found, done = [], set()
    for start in nodes:
        pending = [(start, iter(sources[start]))]
        while pending:
            node, rest = pending[-1]
            following = next((source for source in rest if source not in done), None)
            if following is not None:
                pending.append((following, iter(sources[following])))
                continue
            pending.pop()
            if node not in done:
                done.add(node)
                found.append(node)
    return found


def _neighbours(links):
    """Two dictionaries: the nodes above and below each node."""
    above, below = {}, {}
    for source, target in links:
        above.setdefault(target, []).append(source)
        below.setdefault(source, []).append(target)
    return above, below


def _order(layers, links):
    above, below = _neighbours(links)
    for sweep in range(SWEEPS):
        rows, towards = (layers, above) if sweep % 2 == 0 else (layers[::-1], below)
        position = {node: index for layer in layers for index, node in enumerate(layer)}
        for layer in rows:
            wanted = {node: _mean([position[n] for n in towards.get(node, ())], position[node]) for node in layer}
            layer.sort(key=wanted.__getitem__)
            position.update((node, index) for index, node in enumerate(layer))


def _mean(values, default):
    return sum(values) / len(values) if values else default


def _place(layers, links):
    """Give every node its `x` and `y`."""
    above, below = _neighbours(links)
    top = GAP_X
    for layer in layers:
        height = max((node.height for node in layer), default=0)
        left = 0.0
        for node in layer:
            node.y, node.x = top + height / 2, left + node.width / 2
            left += node.width + GAP_X
        top += height + GAP_Y
    for sweep in range(SWEEPS):
        rows, towards = (layers, above) if sweep % 2 == 0 else (layers[::-1], below)
        for layer in rows:
            _pull(layer, [_mean([n.x for n in towards.get(node, ())], node.x) for node in layer])
    shift = GAP_X - min((node.x - node.width / 2 for layer in layers for node in layer), default=0)
    for layer in layers:
        for node in layer:
            node.x += shift


def _pull(layer, wanted):
    """Move the nodes of a layer towards the wanted positions; those that would overlap stand side by side around the
    mean of what they want."""
    groups = []  # [nodes, offsets of their centres from the first one's, sum of (wanted - offset)]
    for node, x in zip(layer, wanted):
        group = [[node], [0.0], x]
        while groups:
            last = groups[-1]
            gap = last[1][-1] + (last[0][-1].width + group[0][0].width) / 2 + GAP_X
            if last[2] / len(last[0]) + gap <= group[2] / len(group[0]):
                break
            groups.pop()
            group = [last[0] + group[0], last[1] + [gap + offset for offset in group[1]],
                     last[2] + group[2] - gap * len(group[0])]
        groups.append(group)
    for nodes, offsets, total in groups:
        for node, offset in zip(nodes, offsets):
            node.x = total / len(nodes) + offset
