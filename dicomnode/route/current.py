"""The revision in force: read at most once per revision, looked up at every use, so that a change acts at once."""

import threading

from sqlalchemy.orm import Session

from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.site import Site


class CurrentSite:
    """Caches the newest revision's site data. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._site = Site()

    def get(self, session: Session) -> tuple[int, Site]:
        """(revision number, site data) in force; (0, empty) before the first import."""
        number = site_rows.newest_number(session)
        with self._lock:
            if number != self._number:
                row = site_rows.newest(session)
                self._site = Site.model_validate(row.document) if row else Site()
                self._number = row.number if row else 0
            return self._number, self._site
