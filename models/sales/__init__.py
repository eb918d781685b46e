"""The sales regressor: features, intervals, evaluation and explanation."""
