"""Unpacking of zip and tar archives that come from elsewhere: nothing is written outside of the folder."""
import os
import tarfile
import zipfile


def inside(folder, name, archive):
    """The path of a member, if it lies in the folder; else RuntimeError."""
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, name))
    if os.path.commonpath((root, path)) != root:
        raise RuntimeError(f"{archive}: refusing to unpack {name!r} outside of {folder!r}")
    return path


def unpack(archive, folder, overwrite=True):
    """Unpack an archive into a folder; overwrite=False leaves files that are there as they are.

    All names are checked before anything is written. Links that lead out of the folder are refused by `tarfile`.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as source:
            _extract(source, {row.filename: row for row in source.infolist()}, folder, archive, overwrite)
        return
    with tarfile.open(archive) as source:
        options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        _extract(source, {row.name: row for row in source}, folder, archive, overwrite, **options)


def _extract(source, members, folder, archive, overwrite, **options):
    paths = {name: inside(folder, name, archive) for name in members}
    os.makedirs(folder, exist_ok=True)
    for name, member in members.items():
        if overwrite or not os.path.isfile(paths[name]):
            source.extract(member, folder, **options)
