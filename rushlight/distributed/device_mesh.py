"""`DeviceMesh`: the ranks as an array of several dimensions, with a group of processes along each."""
from .. import api as rl
from . import world

__all__ = ["DeviceMesh", "init_device_mesh"]


class DeviceMesh:
    """Ranks in an array, for example replicas x shards. All ranks make it, in the same order.

    Args: device_type (str); mesh: a tensor or nested list of ranks; mesh_dim_names (tuple of str).
    """

    def __init__(self, device_type, mesh, *, mesh_dim_names=None, _groups=None):
        self.device_type, self.mesh_dim_names = device_type, mesh_dim_names and tuple(mesh_dim_names)
        self.mesh = mesh if isinstance(mesh, rl.Tensor) else rl.tensor(mesh, dtype=rl.int32)
        if mesh_dim_names is not None and len(mesh_dim_names) != self.mesh.ndim:
            raise RuntimeError(f"mesh_dim_names: expected {self.mesh.ndim} names, got {len(mesh_dim_names)}")
        own = (self.mesh == world.get_rank()).nonzero()
        self._coordinate = own[0].tolist() if len(own) else None
        self._groups = self._open() if _groups is None else _groups

    def _open(self):
        """This rank's group along each dimension; every rank opens all of them."""
        if self.mesh.numel() == world.get_world_size() and self.mesh.ndim == 1:
            return [world.world_group()]
        found = []
        for dim in range(self.mesh.ndim):
            own = None
            for row in self.mesh.movedim(dim, -1).reshape(-1, self.mesh.size(dim)).tolist():
                group = world.new_group(row)
                own = group if world.get_rank() in row else own
            found.append(own)
        return found

    def _dimension(self, mesh_dim):
        if isinstance(mesh_dim, str):
            if mesh_dim not in (self.mesh_dim_names or ()):
                raise KeyError(f"Invalid mesh_dim_name {mesh_dim!r}; there are {self.mesh_dim_names}")
            return self.mesh_dim_names.index(mesh_dim)
        if mesh_dim is None and self.ndim > 1:
            raise RuntimeError(f"Found the DeviceMesh have {self.ndim} dimensions. Optional kwarg `mesh_dim` needs to "
                               "be specified when device_mesh.ndim > 1.")
        return mesh_dim or 0

    @property
    def ndim(self):
        """The number of dimensions."""
        return self.mesh.ndim

    @property
    def shape(self):
        """The number of ranks along each dimension."""
        return tuple(self.mesh.shape)

    def size(self, mesh_dim=None):
        """The number of ranks: all, or along one dimension."""
        return self.mesh.numel() if mesh_dim is None else self.mesh.size(self._dimension(mesh_dim))

    def get_group(self, mesh_dim=None):
        """This rank's group along a dimension."""
        return self._groups[self._dimension(mesh_dim)]

    def get_all_groups(self):
        """This rank's groups along all dimensions."""
        return list(self._groups)

    def get_rank(self):
        """This rank's number among all."""
        return world.get_rank()

    def get_local_rank(self, mesh_dim=None):
        """This rank's number within its group along a dimension."""
        return self._coordinate[self._dimension(mesh_dim)]

    def get_coordinate(self):
        """This rank's position; None if it is not in the mesh."""
        return self._coordinate

    def __getitem__(self, names):
        names = (names,) if isinstance(names, str) else tuple(names)
        dims = [self._dimension(name) for name in names]
        if self._coordinate is None:
            raise RuntimeError("this rank is not in the mesh")
        at = tuple(slice(None) if dim in dims else self._coordinate[dim] for dim in range(self.ndim))
        return DeviceMesh(self.device_type, self.mesh[at], mesh_dim_names=names,
                          _groups=[self._groups[dim] for dim in dims])

    def __repr__(self):
        return f"DeviceMesh({self.device_type!r}, {self.mesh.tolist()}, mesh_dim_names={self.mesh_dim_names})"


def init_device_mesh(device_type, mesh_shape, *, mesh_dim_names=None, backend_override=None):
    """A DeviceMesh of all ranks in their order, of a shape; opens the group of all if there is none yet."""
    if not world.is_initialized():
        world.init_process_group()
    count = 1
    for size in mesh_shape:
        count *= size
    if count != world.get_world_size():
        raise RuntimeError(f"init_device_mesh: the mesh {tuple(mesh_shape)} has {count} ranks, the job has "
                           f"{world.get_world_size()}")
    return DeviceMesh(device_type, rl.arange(count, dtype=rl.int32).view(*mesh_shape), mesh_dim_names=mesh_dim_names)
