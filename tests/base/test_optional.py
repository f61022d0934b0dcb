"""Optional dependencies: what is there is imported, what is not is explained."""
import json
import sys

import pytest

from rushlight.base.optional import optional


def test_what_is_installed_is_imported():
    assert optional("json", "vision", "reading") is json


def test_what_is_missing_is_explained():
    words = r"save_image needs nosuchthing, .* pip install 'rushlight\[vision\]'"
    with pytest.raises(ImportError, match=words) as caught:
        optional("nosuchthing.Image", "vision", "save_image")
    assert caught.value.name == "nosuchthing"


def test_an_error_inside_the_package_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_optional.py").write_text("import another_missing_one\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_missing_one"):
        optional("broken_optional", "vision", "anything")
    sys.modules.pop("broken_optional", None)
