"""Published weights and models: download a file once, check it, keep it in a cache folder and load it.

`load_state_dict_from_url` is what `weights=...` of the vision models calls. A download goes to a partial file beside
its destination, is resumed where a broken one stopped, and takes its final name only when it is whole and its hash is
right, so that other processes never see half a file. `load`, `list` and `help` do the same with repositories of
GitHub, whose file hubconf.py has functions that make models.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zipfile

from . import serialization

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

HASH_IN_NAME = re.compile(r"-([a-f0-9]*)\.")
CHUNK = 1 << 17
TIMEOUT = 60
ATTEMPTS = 3
_folder = None


def get_dir():
    """Return the cache folder: what `set_dir` set, else `$TORCH_HOME/hub`, else `$XDG_CACHE_HOME/torch/hub`, where
    XDG_CACHE_HOME is `~/.cache` by default.

    Example:
        >>> torch.hub.get_dir().endswith("hub")
        True
    """
    if _folder is not None:
        return _folder
    home = os.environ.get("TORCH_HOME")
    if home is None:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d):
    """Set the cache folder to the path `d`."""
    global _folder
    _folder = os.path.expanduser(os.fspath(d))


class _Progress:
    """A line on standard error that shows how much of a download is there; silent if `shown` is false."""

    def __init__(self, total, shown):
        self.total, self.shown, self.last = total, shown, 0.0

    def show(self, done):
        now = time.monotonic()
        if not self.shown or (now - self.last < 0.2 and done != self.total):
            return
        self.last = now
        whole = f"{done / self.total:4.0%} of {self.total / 1e6:.1f} MB" if self.total else f"{done / 1e6:.1f} MB"
        print(f"\r{whole}", end="", file=sys.stderr, flush=True)

    def close(self):
        if self.shown:
            print(file=sys.stderr)


def _ask(url, start):
    """The server's answer for the bytes from `start` on, and the position that it really starts at."""
    headers = {"User-Agent": "rushlight/hub"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if not (start and error.code == 416):  # the partial file is not shorter than the file on the server
            raise
        return _ask(url, 0)
    return answer, start if start and answer.status == 206 else 0


def _receive(url, file, progress):
    """Append to the partial file what is missing. URLError if the connection ends too early."""
    answer, start = _ask(url, file.seek(0, os.SEEK_END))
    with answer:
        file.seek(start)
        file.truncate()
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length is not None else 0
        bar = _Progress(total, progress)
        done = start
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            bar.show(done)
        bar.close()
    file.flush()
    if total and done < total:
        raise urllib.error.URLError(f"{url}: the connection ended after {done} of {total} bytes")


def _receive_patiently(url, file, progress):
    """`_receive`, again after a broken connection."""
    for attempt in range(ATTEMPTS):
        try:
            return _receive(url, file, progress)
        except urllib.error.HTTPError:
            raise
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if attempt == ATTEMPTS - 1:
                raise


def _open_partial(dst):
    """(the partial file of a destination, its path). Where another process is writing to it, a file of our own."""
    path = dst + ".partial"
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(path) and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            return file, path
    except OSError:  # locked by another process; or moved to its destination while it was opened
        pass
    file.close()
    handle, path = tempfile.mkstemp(dir=os.path.dirname(dst) or ".", prefix=os.path.basename(dst) + ".",
                                    suffix=".partial")
    return os.fdopen(handle, "r+b"), path


def _digest(path):
    """The SHA-256 of a file as hexadecimal text."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def download_url_to_file(url, dst, hash_prefix=None, progress=True):
    """Download a file, resuming a partial download of it, and move it to `dst` when it is whole.

    Args:
        url (str): address of the file.
        dst (str): path of the file; its folder must exist.
        hash_prefix (str, optional): what the SHA-256 of the file must start with.
        progress (bool): show a progress bar on standard error.

    Raises:
        urllib.error.URLError: the server cannot be reached or breaks off several times.
        RuntimeError: the hash is wrong; the file is removed.
    """
    dst = os.path.expanduser(os.fspath(dst))
    file, partial = _open_partial(dst)
    with file:
        resumed = file.seek(0, os.SEEK_END)
        if not hash_prefix:  # nothing would tell whether an older part belongs to the same file
            file.truncate(0)
        try:
            _receive_patiently(url, file, progress)
        except urllib.error.HTTPError:
            os.remove(partial)
            raise
        found = _digest(partial) if hash_prefix else ""
        if resumed and not found.startswith(hash_prefix or ""):
            file.truncate(0)
            _receive_patiently(url, file, progress)
            found = _digest(partial)
        if not found.startswith(hash_prefix or ""):
            os.remove(partial)
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{found}")')
        os.replace(partial, dst)


def _unpacked(path, folder, map_location, weights_only):
    """The object in a zip archive that holds one file, as PyTorch 1.5 and older published some."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise RuntimeError("Only one file(not dir) is allowed in the zipfile")
        name = members[0].filename
        if os.path.basename(name) != name:
            raise RuntimeError(f"{path}: refusing to unpack {name!r} outside of {folder!r}")
        archive.extract(members[0], folder)
    return serialization.load(os.path.join(folder, name), map_location=map_location, weights_only=weights_only)


def _is_packed(path):
    """Whether a file is a zip archive around a saved object. A saved object is itself an archive, of several files."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return len(archive.infolist()) == 1


def load_state_dict_from_url(url, model_dir=None, map_location=None, progress=True, check_hash=False, file_name=None,
                             weights_only=False):
    """Load the object that `torch.save` wrote to a file on a server. The file is downloaded once.

    Args:
        url (str): address of the file.
        model_dir (str, optional): cache folder; `checkpoints` in `get_dir()` by default.
        map_location: where storages go, as in `torch.load`.
        progress (bool): show a progress bar on standard error.
        check_hash (bool): the name of the file is `name-HASH.ext`, where HASH is what its SHA-256 starts with; check
            that.
        file_name (str, optional): name of the file in the cache folder; that of the address by default.
        weights_only (bool): load tensors and plain data only, as in `torch.load`.

    Returns:
        What the file holds; of published weights a dictionary of tensors.

    Raises:
        RuntimeError: the hash is wrong.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else os.path.expanduser(os.fspath(model_dir))
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urllib.parse.urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        print(f'Downloading: "{url}" to {path}', file=sys.stderr)
        found = HASH_IN_NAME.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    if _is_packed(path):
        return _unpacked(path, folder, map_location, weights_only)
    return serialization.load(path, map_location=map_location, weights_only=weights_only)


# -- repositories ------------------------------------------------------------------------------------------------------

# Note [Trust] A repository's code runs in this process, so the first use asks whether it is trusted. The answer "yes"
# is kept in the cache folder in `trusted_list`. These owners publish the models of PyTorch itself.
TRUSTED_OWNERS = ("facebookresearch", "facebookincubator", "pytorch", "fairinternal")
GITHUB, GITHUB_API = "https://github.com/", "https://api.github.com/repos/"


def _read_json(url):
    headers = {"User-Agent": "rushlight/hub", "Accept": "application/vnd.github.v3+json"}
    token = os.environ.get("GITHUB_TOKEN")
    if token is not None:
        headers["Authorization"] = f"token {token}"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
        return json.load(answer)


def _parsed(github):
    """(owner, name, ref) of "owner/name[:ref]"; without a ref main if there is such a branch, else master."""
    repository, _, ref = github.partition(":")
    if repository.count("/") != 1:
        raise ValueError(f"expected a repository as 'owner/name' or 'owner/name:ref', got {github!r}")
    owner, name = repository.split("/")
    if ref:
        return owner, name, ref
    try:
        urllib.request.urlopen(f"{GITHUB}{owner}/{name}/tree/main/", timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return owner, name, "master"
    except urllib.error.URLError as error:
        kept = [ref for ref in ("main", "master") if os.path.exists(os.path.join(get_dir(), f"{owner}_{name}_{ref}"))]
        if not kept:
            raise RuntimeError("It looks like there is no internet connection and the repo could not be found in the "
                               f"cache ({get_dir()})") from error
        return owner, name, kept[0]
    return owner, name, "main"


def _check_trust(owner, name, folder, trust_repo):
    """Ask whether a repository is trusted, see Note [Trust]."""
    path = os.path.join(get_dir(), "trusted_list")
    with open(path, "a+") as file:
        file.seek(0)
        known = file.read().splitlines()
    trusted = f"{owner}_{name}" in known or os.path.isdir(folder) or owner in TRUSTED_OWNERS
    if trust_repo is False or (trust_repo == "check" and not trusted):
        answer = input(f"The repository {owner}_{name} does not belong to the list of trusted repositories and as such "
                       "cannot be downloaded. Do you trust this repository and wish to add it to the trusted list of "
                       "repositories (y/N)?").lower()
        if answer in ("", "n", "no"):
            raise Exception("Untrusted repository.")  # PyTorch raises no narrower class
        if answer not in ("y", "yes"):
            raise ValueError(f"Unrecognized response {answer}.")
    if not trusted:
        with open(path, "a") as file:
            file.write(f"{owner}_{name}\n")


def _check_owner(owner, name, ref):
    """ValueError if a ref is no branch, tag or commit at the tip of one of the repository itself: GitHub also answers
    for commits of forks."""
    for kind in ("branches", "tags"):
        page = 1
        while found := _read_json(f"{GITHUB_API}{owner}/{name}/{kind}?per_page=100&page={page}"):
            if any([entry["name"] == ref or entry["commit"]["sha"].startswith(ref) for entry in found]):
                return
            page += 1
    raise ValueError(f"Cannot find {ref} in {GITHUB}{owner}/{name}. If it's a commit from a forked repo, please call "
                     "hub.load() with forked repo directly.")


def _unpack_repository(path, folder):
    """Unpack an archive of one folder as `folder`, in its place if it exists."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as room, zipfile.ZipFile(path) as archive:
        root = os.path.realpath(room)
        for name in archive.namelist():
            if os.path.commonpath([root, os.path.realpath(os.path.join(root, name))]) != root:
                raise RuntimeError(f"{path}: refusing to unpack {name!r} outside of its folder")
        archive.extractall(room)
        top, = os.listdir(room)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(os.path.join(room, top), folder)


def _repository(github, force_reload, trust_repo, verbose, skip_validation):
    """The folder of a repository, downloaded if it is not in the cache."""
    os.makedirs(get_dir(), exist_ok=True)
    owner, name, ref = _parsed(github)
    folder = os.path.join(get_dir(), "_".join([owner, name, ref.replace("/", "_")]))
    _check_trust(owner, name, folder, trust_repo)
    if os.path.exists(folder) and not force_reload:
        if verbose:
            print(f"Using cache found in {folder}", file=sys.stderr)
        return folder
    if not skip_validation:
        _check_owner(owner, name, ref)
    packed = f"{folder}.zip"
    url = f"{GITHUB}{owner}/{name}/zipball/{ref}"
    print(f'Downloading: "{url}" to {packed}')
    try:
        download_url_to_file(url, packed, progress=False)
    except urllib.error.HTTPError as error:
        if error.code != 300:
            raise
        warnings.warn(f"The ref {ref} is ambiguous. Perhaps it is both a tag and a branch in the repo? Torchhub will "
                      "now assume that it's a branch. You can disambiguate tags and branches by explicitly passing "
                      "refs/heads/branch_name or refs/tags/tag_name as the ref. That might require using "
                      "skip_validation=True.", stacklevel=4)
        download_url_to_file(f"{GITHUB}{owner}/{name}/zipball/refs/heads/{ref}", packed, progress=False)
    try:
        _unpack_repository(packed, folder)
    finally:
        os.remove(packed)
    return folder


@contextlib.contextmanager
def _entries(folder):
    """The module hubconf.py of a folder, whose own modules can be imported meanwhile."""
    folder = os.path.expanduser(os.fspath(folder))
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("hubconf", os.path.join(folder, "hubconf.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(folder)


def _entry(module, model):
    """A function of hubconf.py. RuntimeError without it, or if a package that it needs is missing."""
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    absent = [name for name in getattr(module, "dependencies", None) or () if importlib.util.find_spec(name) is None]
    if absent:
        raise RuntimeError(f"Missing dependencies: {', '.join(absent)}")
    found = getattr(module, model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


def load(repo_or_dir, model, *args, source="github", trust_repo="check", force_reload=False, verbose=True,
         skip_validation=False, **kwargs):
    """Call a function of the file hubconf.py of a repository, usually one that makes a model.

    Args:
        repo_or_dir (str): "owner/name" or "owner/name:ref" of a repository of GitHub; the path of a folder if `source`
            is "local".
        model (str): name of the function.
        source (str): "github" or "local".
        trust_repo (bool or str): True runs the code unasked, False asks always, "check" asks once.
        force_reload (bool): download the repository again.
        verbose (bool): say that the cache is used.
        skip_validation (bool): do not ask GitHub whether the ref belongs to the repository itself.
        *args, **kwargs: arguments of the function.

    Raises:
        ValueError: another source, or a ref of a fork.
        RuntimeError: no such function, or packages that it needs are missing.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        repo_or_dir = _repository(repo_or_dir, force_reload, trust_repo, verbose, skip_validation)
    with _entries(repo_or_dir) as module:
        return _entry(module, model)(*args, **kwargs)


def help(github, model, force_reload=False, skip_validation=False, trust_repo="check"):
    """Return the docstring of a function of a repository's hubconf.py; arguments as for `load`."""
    with _entries(_repository(github, force_reload, trust_repo, True, skip_validation)) as module:
        return _entry(module, model).__doc__


def list(github, force_reload=False, skip_validation=False, trust_repo="check", verbose=True):
    """Return the names of the functions of a repository's hubconf.py; arguments as for `load`."""
    with _entries(_repository(github, force_reload, trust_repo, verbose, skip_validation)) as module:
        return [name for name in dir(module) if callable(getattr(module, name)) and not name.startswith("_")]
