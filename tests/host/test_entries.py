"""Files that are no manifests."""

import pytest

from host.entries import read
from host.errors import HostError


@pytest.mark.parametrize("text, said", [
    (b"", "not JSON"), (b"\xff\xfe", "not JSON"), (b"[" * 100_000, "not JSON"),
    (b"[]", "not a manifest of format 4"), (b'{"format": 3}', "not a manifest of format 4"),
    (b'{"format": 4, "network": ' + b"9" * 5000 + b"}", "not JSON"),
    (None, "No such file or directory")])
def test_broken_manifests(text, said, tmp_path):
    if text is not None:
        (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(HostError, match=said) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


def test_what_is_read(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format": 4, "network": "a"}')
    assert read(tmp_path) == (str(tmp_path / "manifest.json"), {"format": 4, "network": "a"})
