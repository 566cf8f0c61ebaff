"""Installing Orthanc: the steps given to apt-get, no service started, and the stand-in where it does not work out."""

from pathlib import Path

import pytest

from dicomnode.cli.demo import orthanc


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose apt-get writes down what it is told, and fails at the step named in the file `fails`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = (
        f'#!/bin/sh\ncd {tmp_path}\necho "$*" >>told\n[ -x policy-rc.d ] && sh policy-rc.d\necho $? >>policy\n'
        'case "$*" in $(cat fails 2>/dev/null)) exit 100;; esac\n'
        'case "$*" in *--no-download*) touch bin/Orthanc; chmod +x bin/Orthanc;; esac\n'
    )
    (programs / "apt-get").write_text(script)
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(orthanc, "_NO_SERVICES", tmp_path / "policy-rc.d")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def test_orthanc_is_fetched_then_unpacked_with_services_kept_down(debian: Path) -> None:
    said: list[str] = []
    assert orthanc.install_orthanc(said.append) == debian / "bin" / "Orthanc"
    update, download, unpack = (debian / "told").read_text().splitlines()
    assert update.startswith("update")
    assert ("--download-only" in download, "--download-only" in unpack) == (True, False)
    assert "--no-download" in unpack
    assert all(line.endswith(" orthanc") and " -y " in line for line in (download, unpack))
    assert (debian / "policy").read_text().split() == ["101"] * 3
    assert not (debian / "policy-rc.d").exists()
    assert "apt-get remove orthanc" in said[0]


def test_a_failed_download_ends_it_and_nothing_is_left(debian: Path) -> None:
    (debian / "fails").write_text("*--download-only*")
    said: list[str] = []
    assert orthanc.install_orthanc(said.append) is None
    assert len((debian / "told").read_text().splitlines()) == 2
    assert "did not succeed" in said[-1]
    assert not (debian / "policy-rc.d").exists()


def test_a_policy_of_the_machines_own_stays(debian: Path) -> None:
    (debian / "policy-rc.d").write_text("#!/bin/sh\nexit 104\n")
    assert orthanc.install_orthanc(lambda line: None) is not None
    assert (debian / "policy-rc.d").read_text() == "#!/bin/sh\nexit 104\n"


def test_nobody_but_root_installs_anything(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert orthanc.install_orthanc(lambda line: None) is None
    assert not (debian / "told").exists()
