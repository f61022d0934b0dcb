"""Assets of models, tutorials and tests: downloaded once, checked, and kept beside published weights."""

import hashlib
import os
import pathlib

from ... import hub

SERVER = "https://download.pytorch.org/torchaudio/"


def _download_asset(key, hash="", path="", *, progress=True):
    """The path of the asset `key`, downloaded to `path` (the cache folder by default) if it is not there.

    ValueError if `hash`, the SHA-256 of the file, is given and is another.
    """
    path = os.fspath(path or pathlib.Path(hub.get_dir()) / "torchaudio" / key)
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        hub.download_url_to_file(SERVER + key, path, progress=progress)
    if hash:
        with open(path, "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
        if found != hash:
            raise ValueError(f"The hash value of the downloaded file ({path}), '{found}' does not match the provided "
                             f"hash value, '{hash}'.")
    return path
