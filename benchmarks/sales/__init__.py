"""The regressor and its explanations."""
