"""`biject_to` and `transform_to`: from a constraint to a transform of unconstrained numbers that satisfies it.

`biject_to(constraint)` is a bijection with a Jacobian, for sampling; `transform_to(constraint)` may be simpler, for
optimisation.
"""
from . import constraints, transforms
from .utils import Number

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """A table from classes of constraints to functions that make a transform of one."""

    def __init__(self):
        self._registry = {}

    def register(self, constraint, factory=None):
        """Enter a function (or decorate one) for a class of constraints, or for that of an instance.

        TypeError for other objects.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not isinstance(constraint, type) or not issubclass(constraint, constraints.Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint):
        """The transform of a constraint. NotImplementedError if there is none for its class."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _both(*kinds):
    """Enter a function for several constraints into both tables; it gets the table as its second argument."""
    def enter(factory):
        for table in (biject_to, transform_to):
            for kind in kinds:
                table.register(kind, lambda constraint, table=table: factory(constraint, table))
        return factory
    return enter


@_both(constraints.real)
def _to_real(constraint, table):
    return transforms.identity_transform


@_both(constraints.independent)
def _to_independent(constraint, table):
    return transforms.IndependentTransform(table(constraint.base_constraint), constraint.reinterpreted_batch_ndims)


@_both(constraints.greater_than, constraints.greater_than_eq)  # the classes of `positive` and `nonnegative` too
def _to_greater_than(constraint, table):
    return transforms.ComposeTransform([transforms.ExpTransform(),
                                        transforms.AffineTransform(constraint.lower_bound, 1)])


@_both(constraints.less_than)
def _to_less_than(constraint, table):
    return transforms.ComposeTransform([transforms.ExpTransform(),
                                        transforms.AffineTransform(constraint.upper_bound, -1)])


def _is(bound, number):
    return isinstance(bound, Number) and bound == number


@_both(constraints.interval, constraints.half_open_interval)
def _to_interval(constraint, table):
    low, high = constraint.lower_bound, constraint.upper_bound
    if _is(low, 0) and _is(high, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


@biject_to.register(constraints.simplex)
def _biject_to_simplex(constraint):
    return transforms.StickBreakingTransform()


@transform_to.register(constraints.simplex)
def _transform_to_simplex(constraint):
    return transforms.SoftmaxTransform()


@transform_to.register(constraints.lower_cholesky)
def _transform_to_lower_cholesky(constraint):
    return transforms.LowerCholeskyTransform()


@transform_to.register(constraints.positive_definite)
@transform_to.register(constraints.positive_semidefinite)
def _transform_to_positive_definite(constraint):
    return transforms.PositiveDefiniteTransform()


@_both(constraints.corr_cholesky)
def _to_corr_cholesky(constraint, table):
    return transforms.CorrCholeskyTransform()


@_both(constraints.cat)
def _to_cat(constraint, table):
    return transforms.CatTransform([table(c) for c in constraint.cseq], constraint.dim, constraint.lengths)


@_both(constraints.stack)
def _to_stack(constraint, table):
    return transforms.StackTransform([table(c) for c in constraint.cseq], constraint.dim)
