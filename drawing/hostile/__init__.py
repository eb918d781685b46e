"""Picture files that take their decoder as much time or memory as possible."""
