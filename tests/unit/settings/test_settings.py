"""Boot settings: the file, the environment over it, and plain words for what is wrong."""

from pathlib import Path

import pytest

from dicomnode.settings import SettingsError, load_settings


def write(folder: Path, text: str) -> Path:
    file = folder / "dicomnode.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, '[store]\nroot = "bytes"\n[database]\nurl = "sqlite:///state/node.db"\n'))
    assert settings.store.root == tmp_path / "bytes"
    assert settings.database.url == f"sqlite:///{tmp_path}/state/node.db"
    assert settings.pipelines.path == tmp_path / "pipelines"


def test_the_environment_overrides_one_setting_and_keeps_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOMNODE_DICOM__PORT", "11999")
    monkeypatch.setenv("DICOMNODE_ENGINE__DEVICES", '["cuda:0", "cpu"]')
    settings = load_settings(write(tmp_path, '[dicom]\nae_title = "NODE1"\nport = 104\n'))
    assert (settings.dicom.ae_title, settings.dicom.port) == ("NODE1", 11999)
    assert settings.engine.devices == ("cuda:0", "cpu")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[dicom]\nport = 70000\n", "dicom.port"),
        ("[dicom]\nprot = 104\n", "dicom.prot"),
        ('[dicom]\nae_title = "A TITLE THAT IS TOO LONG"\n', "16 printable"),
        ("[dicom\n", "cannot read"),
        ('[database]\nurl = "no url"\n', "database.url"),
        ('[node]\nname = "../x"\n', "letters, digits"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(write(tmp_path, text))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no settings file"):
        load_settings(tmp_path / "absent.toml")


def test_the_example_file_is_valid() -> None:
    example = Path(__file__).parents[3] / "config" / "dicomnode.example.toml"
    assert load_settings(example).dicom.ae_title == "DICOMNODE"
