"""How good a regressor is on test sales: measures, baselines, report and plots."""
