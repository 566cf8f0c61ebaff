"""What people do at the node: each a function that changes SQL together with the audit event that tells of it.

The command line, the pages and the API are three faces of this package; none of them changes anything by itself.
"""
