"""What a test asks, in words: "SliceThickness is at most 1.5". Explanations and differences speak alike."""

from dicomnode.domain.condition import AttributeCondition, Expected, FactCondition, Operator
from dicomnode.domain.facts import Scalar

SHOWN_TEXT = 120
"""Characters of a value that are shown."""

OPERATOR_WORDS: dict[Operator, str] = {
    "equals": "equals",
    "not_equals": "does not equal",
    "in": "is one of",
    "contains": "contains",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "lt": "is less than",
    "le": "is at most",
    "gt": "is greater than",
    "ge": "is at least",
    "between": "is between",
}


def subject_of(test: AttributeCondition | FactCondition) -> str:
    """What is looked at: an attribute, with its private creator in brackets, or a computed fact."""
    if isinstance(test, FactCondition):
        return test.fact
    return f"{test.attribute} ({test.private_creator})" if test.private_creator else test.attribute


def asked(operator: Operator, expected: Expected, every: bool = False) -> str:
    """What is asked of the subject: "is at most 1.5", "is one of CT, MR on every instance"."""
    if operator == "exists":
        words = "exists" if expected else "is absent"
    elif operator == "between" and isinstance(expected, tuple):
        words = f"is between {shown(expected[0])} and {shown(expected[1])}"
    else:
        wanted = ", ".join(map(shown, expected)) if isinstance(expected, tuple) else shown(expected)
        words = f"{OPERATOR_WORDS[operator]} {wanted}"
    return words + (" on every instance" if every else "")


def asked_by(test: AttributeCondition | FactCondition) -> str:
    """What this test asks of its subject."""
    return asked(test.operator, test.expected, isinstance(test, AttributeCondition) and test.every)


def shown(value: Scalar) -> str:
    """A value as it reads: texts with spaces in quotes, none longer than SHOWN_TEXT."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)[:SHOWN_TEXT]
    return f'"{text}"' if isinstance(value, str) and (" " in text or not text) else text
