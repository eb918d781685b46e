"""The sales regressor: features, bounds, explanations."""
