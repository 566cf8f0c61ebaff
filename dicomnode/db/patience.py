"""How long a database is waited for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds. `connect`: for a connection. `statement`: for one statement, waiting for locks included.

    `silent_transaction`: how long a transaction may say nothing before the server ends it, and with it the locks of a
    process that was stopped in the middle.
    """

    connect: float = 5.0
    statement: float = 60.0
    silent_transaction: float = 30.0

    @property
    def answer(self) -> float:
        """After which a server is given up that has not even ended the statement."""
        return self.statement + max(1.0, self.statement / 10)
