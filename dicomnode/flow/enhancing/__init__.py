"""route -> enhance -> derive: work that a rule or somebody asks for, from stored slices to committed outputs."""
