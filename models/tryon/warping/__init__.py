"""Warping: the garment's pieces, laid on the body by splines and an appearance flow."""
