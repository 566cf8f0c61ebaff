"""Whether a program asks for patients' names: by what its request says, whatever a browser's session shows."""

from dataclasses import replace
from typing import Annotated

from fastapi import Query

from dicomnode.desk import patients
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import NotPermitted

Names = Annotated[bool, Query(description="With names and identifiers of patients; the audit log tells of it.")]


def seeing(person: Person, names: bool) -> Person:
    """The person as the request has it. Raises NotPermitted for names that the person may not see."""
    if not names:
        return replace(person, names_shown=False)
    if not person.may(Permission.PATIENTS):
        raise NotPermitted(person, Permission.PATIENTS)
    return patients.with_names(person)
