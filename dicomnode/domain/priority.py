"""How urgent work is: a lower number goes first."""

PRIORITIES = {"stat": 0, "normal": 1, "off-peak": 2}
SHADOW_PRIORITY = 3
"""Work that only a shadow rule asks for goes last."""
