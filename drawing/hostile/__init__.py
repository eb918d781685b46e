"""Picture files that cost their decoder as much as they can."""
