"""The node's own certificates: do their files work, and until when. Told by `serve`, `config check` and the pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dicomnode.deliver.tls import client_context, files_of
from dicomnode.domain.certificate import valid_until
from dicomnode.receive.tls import ServerTls, server_context
from dicomnode.settings import Settings

SOON = timedelta(days=30)


@dataclass(frozen=True)
class OwnCertificate:
    """A certificate that the node shows, under the setting that names it."""

    setting: str
    until: datetime

    @property
    def warning(self) -> str:
        """What to say of it, if its end is near or behind us; else empty."""
        left = self.until - datetime.now(UTC)
        if left > SOON:
            return ""
        return (
            f"{self.setting}: the certificate {'ends' if left > timedelta() else 'has ended'} on {self.until:%Y-%m-%d}"
        )


def own_certificates(settings: Settings) -> Iterator[OwnCertificate]:
    """Those of the TLS port and of the identities towards destinations. Raises TlsUnusable for files that do not work.

    One that has ended works as far as the node can tell: it is the peers who refuse it.
    """
    if settings.dicom.tls is not None:
        server_context(ServerTls.of(settings.dicom.tls))
        yield OwnCertificate("dicom.tls.cert", valid_until(settings.dicom.tls.cert))
    for name, identity in settings.tls.items():
        files = files_of(name, identity)
        client_context(files)
        if files.cert:
            yield OwnCertificate(f"tls.{name}.cert", valid_until(Path(files.cert)))
