"""Series at the desk: finding them, the story of each, and what people do to one."""
