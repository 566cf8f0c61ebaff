"""A rule as the fields of an HTML form, and back: nothing of a valid rule is lost on the way.

The form's state is its fields alone (`when.0.attribute`, `params.strength`, `deliver_to`), so it works without
JavaScript: every button sends them all, and the page that comes back holds them all again. What does not fit a plain
field, such as a text with a line break, goes into one written as JSON or YAML.

    fields    the names and values of a request
    subjects  what a condition is about: kind of its values, operators that fit
    values    one value as the text of a field
    nodes     the condition tree as rows and groups
    edits     what the buttons do to it: add, remove, move, wrap
    schema    parameters by the JSON schema of a pipeline
    rule      the whole rule
"""
