"""The store: append-only containers that are the journal, and reading what lies in them.

Writers use `journal.Journal` (received instances and the receiver's own events) and `staged.write_container` (derived
outputs). Readers use `members.members` (in order, verified, resumable) and `reading` (one instance by its location).
"""
