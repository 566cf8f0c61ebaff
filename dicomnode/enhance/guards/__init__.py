"""Guards: each looks at one way in which an enhancement can go wrong; it passes, flags or withholds with its number."""
