"""The ledger of work and the workers that pull from it. `jobs` is handed what to run; it never imports it."""
