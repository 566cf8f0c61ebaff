"""Site data beside the rules: the editor of destinations."""
