"""deliver -> kept: storage commitment both ways; what destinations keep for this node, what it keeps for modalities."""
