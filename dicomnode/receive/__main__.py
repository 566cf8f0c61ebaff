"""`python -m dicomnode.receive`: a receiving process, as the node starts it. Not for hand use."""

import sys

# Whoever receives looks at no pixels. pydicom does without numpy where there is none, and 12 MB smaller.
sys.modules["numpy"] = None  # type: ignore[assignment]

from dicomnode.receive.process import main  # noqa: E402

main()
