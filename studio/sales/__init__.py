"""Sales scores: predict, evaluate, train."""
