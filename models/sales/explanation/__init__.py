"""Explains a picture's score by occlusion, drawn as a heatmap."""
