"""Rules in the browser: what is in force, the draft and its replay, the editor, revisions, explanations."""
