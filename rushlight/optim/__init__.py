"""Optimizers, learning rate schedules and weight averaging, as `torch.optim`.

In: parameters and their gradients. Out: the classes below, one file each. Read next: `optimizer.py`, then
`per_parameter.py`, which says why each formula is written once, then `sgd.py`. Schedules are in `lr_scheduler/`.
"""

from ..base import lazy

__getattr__, __dir__ = lazy.exports(globals(), {
    "adadelta": "Adadelta", "adafactor": "Adafactor", "adagrad": "Adagrad", "adam": "Adam", "adamax": "Adamax",
    "adamw": "AdamW", "asgd": "ASGD", "lbfgs": "LBFGS", "lr_scheduler": "", "muon": "Muon", "nadam": "NAdam",
    "optimizer": "Optimizer", "radam": "RAdam", "rmsprop": "RMSprop", "rprop": "Rprop", "sgd": "SGD",
    "sparse_adam": "SparseAdam",
    "swa_utils": "", "swap_in": "swap_in_optimizer_params_and_state",
})
__all__ = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
    "swap_in_optimizer_params_and_state",
]
