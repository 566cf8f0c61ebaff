"""Settings of the pages: what would let the wrong people in, or nobody, is refused in words."""

from pathlib import Path

import pytest

from dicomnode.settings import SettingsError, load_settings

OIDC = '[web.oidc]\nissuer = "https://op.example"\nclient_id = "node"\nroles = { admins = "admin" }\n'


def write(folder: Path, text: str) -> Path:
    file = folder / "dicomnode.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_groups_name_one_role_or_several_and_the_secret_lies_beside_the_file(tmp_path: Path) -> None:
    text = '[web]\npublic_url = "https://node.example/"\n' + OIDC.replace(
        '"admin"', '"admin", r = ["viewer", "auditor"]'
    )
    web = load_settings(write(tmp_path, text + 'client_secret_file = "secret"\n')).web
    assert web.public_url == "https://node.example"
    assert web.oidc is not None
    assert web.oidc.roles == {"admins": ("admin",), "r": ("viewer", "auditor")}
    assert web.oidc.client_secret_file == tmp_path / "secret"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OIDC, "public_url"),
        ('[web]\npublic_url = "https://node.example/pages"\n', "without a path"),
        ('[web]\npublic_url = "http://n"\n' + OIDC.replace("https:", "http:"), "could be anybody"),
        ('[web]\npublic_url = "http://n"\n' + OIDC.replace('"admin"', '"boss"'), "web.oidc.roles.admins"),
        ('[web]\npublic_url = "http://n"\n' + OIDC + 'client_secret = "a"\nclient_secret_file = "b"\n', "keep one"),
        ('[web]\ndestination_networks = ["here"]\n', "no address"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(write(tmp_path, text))


@pytest.mark.parametrize(
    ("host", "beyond"), [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True)]
)
def test_what_other_machines_reach(tmp_path: Path, host: str, beyond: bool) -> None:
    assert load_settings(write(tmp_path, f'[web]\nhost = "{host}"\n')).web.beyond_loopback is beyond


def test_the_secret_is_not_printed(tmp_path: Path) -> None:
    text = '[web]\npublic_url = "https://node.example"\n' + OIDC + 'client_secret = "hush"\n'
    assert "hush" not in repr(load_settings(write(tmp_path, text)))
