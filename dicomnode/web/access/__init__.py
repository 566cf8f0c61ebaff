"""Who comes in: sessions and tokens, the gate before every route, sign-in."""
