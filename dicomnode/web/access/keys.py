"""Keys of rows in addresses: numbers that a database has."""

from typing import Annotated

from fastapi import Path

AccountId = Annotated[int, Path(ge=1, le=2**63 - 1)]
TokenId = Annotated[int, Path(ge=1, le=2**63 - 1)]
