"""A series as files: Part 10, byte for byte as it is stored, under names that the node makes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dicomnode.audit.events import record
from dicomnode.db.models import Instance, Output
from dicomnode.db.repositories import enhancements, instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.instance import Location
from dicomnode.flow.context import Flow, gone_words
from dicomnode.store.fingerprints import Fingerprint, pieces


class CannotExport(Exception):
    """The series cannot be exported, or not wholly; the message is a plain sentence."""


@dataclass(frozen=True)
class _File:
    """One file to be: where it goes, where its bytes are, what their hash must be."""

    path: Path
    sop_uid: str
    location: Location
    transfer_syntax_uid: str | None
    sha256: str


def export(
    flow: Flow, uid: str, out: Path, actor: str, *, derived: bool, on_progress: Callable[[int, int], None]
) -> int:
    """Write a series' stored instances to `out`, and with `derived` what was derived from them. Returns how many files.

    `out/00001.dcm` and so on in order of arrival; each derived series in `out/derived-<job>`. A derived series may be
    named by its own UID, too. Nothing is overwritten, and every file is held against its hash while it is written.
    Raises CannotExport, and OSError for a folder that cannot be written.
    """
    files = _originals(flow, uid, out)
    files += _derived(flow, uid, out, wanted=derived, alone=not files)
    taken = next((file.path for file in files if file.path.exists()), None)
    if taken is not None:
        raise CannotExport(f"{taken} is there already, and nothing is overwritten: name another folder")
    for number, file in enumerate(files, start=1):
        _write(flow.root, file)
        on_progress(number, len(files))
    with flow.database.write() as session:
        record(
            session,
            "series.exported",
            f"{actor} wrote {len(files)} instances to files",
            node=flow.node,
            actor=actor,
            series_uid=uid,
            detail={"files": len(files), "derived": derived},
        )
    return len(files)


def _originals(flow: Flow, uid: str, out: Path) -> list[_File]:
    with flow.database.read() as session:
        if series_rows.find(session, uid) is None:
            if enhancements.by_derived_uid(session, uid) is None:
                raise CannotExport(f"no instance of series {uid} has arrived")
            return []
        gone = instances.gone(session, uid)
        rows = instances.of_series(session, uid)
    if not rows:
        raise CannotExport(f"nothing of series {uid} is stored any more: {gone_words(gone)}")
    return [_file(row, out, number, row.transfer_syntax_uid) for number, row in enumerate(rows, start=1)]


def _derived(flow: Flow, uid: str, out: Path, *, wanted: bool, alone: bool) -> list[_File]:
    """What was derived from the series, or the derived series itself where its own UID was given."""
    with flow.database.read() as session:
        made = [row for row in [enhancements.by_derived_uid(session, uid)] if row is not None]
        ids = [row.enhancement_id for row in made] if alone else []
        if wanted and not alone:
            ids = [row.id for row in enhancements.of_series(session, uid)]
        outputs = {id: enhancements.outputs(session, id) for id in ids}
    kept = {id: [row for row in rows if not row.gone] for id, rows in outputs.items()}
    if alone and not any(kept.values()):
        raise CannotExport(f"nothing of derived series {uid} is stored any more")
    folders = {id: out if alone else out / f"derived-{id}" for id in kept}
    return [
        _file(row, folders[id], number, None) for id, rows in kept.items() for number, row in enumerate(rows, start=1)
    ]


def _file(row: Instance | Output, folder: Path, number: int, transfer_syntax_uid: str | None) -> _File:
    location = Location(row.container, row.offset, row.length)
    return _File(folder / f"{number:05d}.dcm", row.sop_uid, location, transfer_syntax_uid, row.sha256)


def _write(root: Path, file: _File) -> None:
    """A file that turns out wrong does not stay."""
    file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fingerprint = Fingerprint(file.transfer_syntax_uid)
    with file.path.open("xb") as out:
        try:
            for piece in pieces(root, file.location):
                fingerprint.add(piece)
                out.write(piece)
            if fingerprint.hex() != file.sha256:
                raise EOFError("its bytes are not those that were stored")
        except (FileNotFoundError, EOFError) as error:
            file.path.unlink(missing_ok=True)
            reason = "its container is not there" if isinstance(error, OSError) else str(error)
            raise CannotExport(f"instance {file.sop_uid}: {reason}; `dicomnode doctor --deep` says more") from error
        except OSError:
            file.path.unlink(missing_ok=True)
            raise
