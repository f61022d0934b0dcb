"""Training with different numbers of batches: ranks that have no more input answer the collectives of the others.

    with Join([model, optimizer]):
        for batch in own_batches: ...

Each iteration of a rank that still has input begins with an all_reduce of a one (`Join.notify_join_context`). A rank
that has left the loop sends zeros instead. If the sum is not zero, it calls `main_hook` of every joinable, which does
the collectives of one iteration without input. If the sum is zero, all ranks have finished.
"""
import abc

from ... import api as rl
from .. import collectives, world

__all__ = ["Join", "JoinHook", "Joinable"]


class JoinHook:
    """What a joinable does after its rank has no more input."""

    def main_hook(self):
        """Do the collectives of one iteration of the ranks that still have input."""

    def post_hook(self, is_last_joiner):
        """Called once all ranks have finished. is_last_joiner: whether this rank had input until the end."""


class _JoinConfig:
    """The Join context that a joinable is in: whether it is enabled, and whether this joinable counts the ranks."""

    def __init__(self, enable=False, throw_on_early_termination=False, is_first_joinable=False):
        self.enable, self.throw_on_early_termination = enable, throw_on_early_termination
        self.is_first_joinable = is_first_joinable

    @staticmethod
    def construct_disabled_join_config():
        """The configuration outside of any context."""
        return _JoinConfig()


class Joinable(abc.ABC):
    """An object with collectives in every iteration, which can take part in a `Join` context.

    Its method of every iteration calls `Join.notify_join_context(self)` before any collective.
    """

    @abc.abstractmethod
    def __init__(self):
        super().__init__()
        self._join_config = _JoinConfig()

    @abc.abstractmethod
    def join_hook(self, **kwargs):
        """The JoinHook of this object; kwargs are those of the context."""

    @property
    @abc.abstractmethod
    def join_device(self):
        """The device of the collectives that the context needs."""

    @property
    @abc.abstractmethod
    def join_process_group(self):
        """The group of the collectives that the context needs."""


class Join:
    """A context for loops over different numbers of inputs.

    Args: joinables (list): the objects whose collectives are answered, in the order of their collectives;
        enable (bool): False makes the context do nothing;
        throw_on_early_termination (bool): raise RuntimeError on all ranks as soon as one has no more input;
        kwargs: passed to `join_hook` of every joinable.
    """

    def __init__(self, joinables, enable=True, throw_on_early_termination=False, **kwargs):
        if len(joinables) == 0:
            raise ValueError("The join context manager requires at least one joinable")
        self._joinables, self._enable, self._throw = joinables, enable, throw_on_early_termination
        self._hooks = [joinable.join_hook(**kwargs) for joinable in joinables]
        groups = [joinable.join_process_group for joinable in joinables]
        if any(group is not groups[0] for group in groups):
            raise ValueError("Using join context manager with multiple process groups")
        self._group, self._device = groups[0], joinables[0].join_device
        for joinable in joinables:
            joinable._join_config = _JoinConfig(enable, throw_on_early_termination, joinable is joinables[0])

    def __enter__(self):
        return None

    def __exit__(self, kind, value, traceback):
        try:
            if kind is None and self._enable:
                self._answer()
        finally:
            for joinable in self._joinables:
                joinable._join_config = _JoinConfig()

    def _answer(self):
        last = True
        while self._count_active():
            if self._throw:
                collectives.all_reduce(rl.ones(1, device=self._device), group=self._group)
                raise RuntimeError(f"Rank {world.get_rank(self._group)} exhausted all inputs.")
            last = False
            for hook in self._hooks:
                hook.main_hook()
        for hook in self._hooks:
            hook.post_hook(last)

    def _count_active(self):
        """How many ranks are in an iteration: this one is in none."""
        count = rl.zeros(1, device=self._device)
        collectives.all_reduce(count, group=self._group)
        return int(count)

    @staticmethod
    def notify_join_context(joinable):
        """Tell the context that this rank begins an iteration.

        Returns the Work of the all_reduce that counts such ranks (its result is the count), or None for objects that
        are not the first of a context. RuntimeError if another rank has no input and the context is to raise then.
        """
        config = joinable._join_config
        if not (config.enable and config.is_first_joinable):
            return None
        group, device = joinable.join_process_group, joinable.join_device
        work = collectives.all_reduce(rl.ones(1, device=device), group=group, async_op=True)
        if config.throw_on_early_termination:
            work.wait()
            if int(work.result()[0]) < world.get_world_size(group):
                collectives.all_reduce(rl.zeros(1, device=device), group=group)
                raise RuntimeError("Detected at least one rank that exhausted inputs. Throwing across all ranks.")
        return work
