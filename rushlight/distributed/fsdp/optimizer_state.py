"""States of optimizers over sharded parameters: names as keys in place of numbers, whole tensors or rows."""
from ... import api as rl
from ..tensor import sharded


def export(named_parameters, optimizer, full, state=None):
    """{"state": {name: {key: value}}, "param_groups": [...]} of an optimizer. full: gather the tensors.

    state: what the optimizer's state_dict gives, if it is to be another than the present one.
    """
    names, state = {id(param): name for name, param in named_parameters}, state or optimizer.state_dict()
    params = [param for group in optimizer.param_groups for param in group["params"]]
    found = {}
    for number, param in enumerate(params):
        if number in state["state"]:
            found[names[id(param)]] = {key: _outside(value, param, full)
                                       for key, value in state["state"][number].items()}
    groups = [{**group, "params": [names[id(params[number])] for number in group["params"]]}
              for group in state["param_groups"]]
    return {"state": found, "param_groups": groups}


def _outside(value, param, full):
    rows = getattr(param, "_shard", None)
    if rows is None or not isinstance(value, rl.Tensor) or value.shape != param.shape or not value.dim():
        return value
    return rows.gather(value) if full else sharded(value, rows)


def localize(named_parameters, optimizer, state):
    """A dictionary for `optimizer.load_state_dict`, from one that `export` has made."""
    names = {id(param): name for name, param in named_parameters}
    params = [param for group in optimizer.param_groups for param in group["params"]]
    numbers = {names[id(param)]: number for number, param in enumerate(params)}
    found = {}
    for name, values in state["state"].items():
        param = params[numbers[name]]
        found[numbers[name]] = {key: _inside(key, value, param) for key, value in values.items()}
    groups = [{**group, "params": [numbers[name] for name in group["params"]]} for group in state["param_groups"]]
    return {"state": found, "param_groups": groups}


def _inside(key, value, param):
    rows = getattr(param, "_shard", None)
    if rows is None or not isinstance(value, rl.Tensor) or key == "step":
        return value
    if hasattr(value, "_shard"):
        return value.to_local()
    return rows.of(value).clone() if tuple(value.shape) == rows.shape else value
